//! Walks the compiled tree over borrowed values.

use crate::ast::{Chain, Expr, ExprKind, Operator, Step, StepKind};
use crate::budget::Meter;
use crate::collection::{boolean, single};
use crate::environment::Environment;
use crate::equality::order;
use crate::error::{ErrorKind, Fault};
use crate::item::Item;
use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashSet;

pub(crate) type Items<'a> = Vec<Item<'a>>;

/// `$this`, `$index` and `$total` of one evaluation.
#[derive(Clone, Copy)]
pub(crate) struct Scope<'s, 'a> {
    pub this: &'s [Item<'a>],
    pub index: Option<usize>,
    pub total: Option<&'s [Item<'a>]>,
}

impl<'s, 'a> Scope<'s, 'a> {
    /// The scope of one item of a collection, inside of this one.
    pub fn of<'t>(self, item: &'t Item<'a>, index: usize) -> Scope<'t, 'a>
    where
        's: 't,
    {
        Scope { this: std::slice::from_ref(item), index: Some(index), total: self.total }
    }
}

pub(crate) struct Evaluator<'e, 'a> {
    pub environment: &'e Environment<'a>,
    pub root: &'e [Item<'a>],
    pub meter: Meter,
    /// Names from `defineVariable`, innermost last.
    pub defined: Vec<(String, Items<'a>)>,
}

impl<'e, 'a> Evaluator<'e, 'a> {
    pub fn new(environment: &'e Environment<'a>, root: &'e [Item<'a>]) -> Self {
        Self { environment, root, meter: Meter::new(&environment.budget), defined: Vec::new() }
    }

    pub fn run(&mut self, expr: &Expr) -> Result<Items<'a>, Fault> {
        self.evaluate(expr, Scope { this: self.root, index: None, total: None })
    }

    pub fn evaluate(&mut self, expr: &Expr, scope: Scope<'_, 'a>) -> Result<Items<'a>, Fault> {
        match &expr.kind {
            ExprKind::Literal(_) | ExprKind::This | ExprKind::Empty | ExprKind::Variable(_) | ExprKind::Path { .. } => {
                let value = self.operand(expr, scope)?;
                self.spend_on_items(value.len())?;
                Ok(value.into_owned())
            }
            ExprKind::Index => Ok(scope.index.map(|index| Item::Integer(index as i64)).into_iter().collect()),
            ExprKind::Total => Ok(scope.total.unwrap_or_default().to_vec()),
            ExprKind::Negate(operand) | ExprKind::Plus(operand) => {
                let value = self.operand(operand, scope)?;
                let negative = matches!(expr.kind, ExprKind::Negate(_));
                Self::signed(&value, negative).map_err(|fault| fault.or_at(expr.at))
            }
            ExprKind::Chain(Chain::Union, operands) => self.union_of(operands, scope),
            ExprKind::As(operand, of) => {
                let value = self.operand(operand, scope)?;
                let item = single(&value).map_err(|fault| fault.or_at(expr.at))?;
                Ok(item.filter(|item| of.selects(item)).cloned().into_iter().collect())
            }
            ExprKind::Binary(operator, left, right) if operator.is_arithmetic() => {
                self.meter.spend(1)?;
                let left = self.operand(left, scope)?;
                let right = self.operand(right, scope)?;
                self.arithmetic(*operator, &left, &right).map_err(|fault| fault.or_at(expr.at))
            }
            ExprKind::Binary(..) | ExprKind::Chain(..) | ExprKind::Is(..) => {
                Ok(self.truth(expr, scope)?.map(Item::Boolean).into_iter().collect())
            }
        }
    }

    /// As [`Self::evaluate`], without a copy where the value stands ready.
    pub fn operand<'x>(&mut self, expr: &'x Expr, scope: Scope<'x, 'a>) -> Result<Cow<'x, [Item<'a>]>, Fault>
    where
        'e: 'x,
    {
        self.meter.spend(1)?;
        match &expr.kind {
            ExprKind::Literal(item) => {
                let item: &'x Item<'a> = item;
                Ok(Cow::Borrowed(std::slice::from_ref(item)))
            }
            ExprKind::This => Ok(Cow::Borrowed(scope.this)),
            ExprKind::Empty => Ok(Cow::Borrowed(&[])),
            ExprKind::Variable(name) => self.variable(name).map_err(|fault| fault.or_at(expr.at)),
            ExprKind::Path { head, steps } => {
                let defined = self.defined.len();
                let mut current = self.operand(head, scope)?;
                for step in steps {
                    let next = self.step(step, &current, scope).map_err(|fault| fault.or_at(step.at))?;
                    self.spend_on_items(next.len()).map_err(|fault| fault.or_at(step.at))?;
                    current = Cow::Owned(next);
                }
                self.defined.truncate(defined);
                Ok(current)
            }
            _ => self.evaluate(expr, scope).map(Cow::Owned),
        }
    }

    /// A collection costs by its size, so that memory is bounded together with time.
    pub fn spend_on_items(&mut self, count: usize) -> Result<(), Fault> {
        self.environment.budget.check_items(count)?;
        self.meter.spend(count / 4)
    }

    /// To be called before a text of that many bytes is made.
    pub fn spend_on_text(&mut self, length: usize) -> Result<(), Fault> {
        self.environment.budget.check_text(length)?;
        self.meter.spend(length / 16)
    }

    fn step(&mut self, step: &Step, input: &[Item<'a>], scope: Scope<'_, 'a>) -> Result<Items<'a>, Fault> {
        match &step.kind {
            StepKind::Member(member) => self.navigate(input, member),
            StepKind::Call(call) => self.call(call, input, scope),
            StepKind::Index(index) => {
                let index = self.operand(index, scope)?;
                let Some(index) = single(&index)?.map(Item::system) else {
                    return Ok(Vec::new());
                };
                let Some(Item::Integer(index)) = index else {
                    return Err(Fault::wrong_type("an index is an integer"));
                };
                let found = usize::try_from(index).ok().and_then(|index| input.get(index));
                Ok(found.cloned().into_iter().collect())
            }
        }
    }

    /// The value of an expression read as a Boolean.
    pub fn truth(&mut self, expr: &Expr, scope: Scope<'_, 'a>) -> Result<Option<bool>, Fault> {
        self.meter.spend(1)?;
        let located = |fault: Fault| fault.or_at(expr.at);
        match &expr.kind {
            ExprKind::Chain(Chain::And, operands) => self.chain(operands, scope, false),
            ExprKind::Chain(Chain::Or, operands) => self.chain(operands, scope, true),
            ExprKind::Binary(Operator::Xor, left, right) => {
                let left = self.truth(left, scope)?;
                let right = self.truth(right, scope)?;
                Ok(left.zip(right).map(|(left, right)| left != right))
            }
            ExprKind::Binary(Operator::Implies, left, right) => match self.truth(left, scope)? {
                Some(false) => Ok(Some(true)),
                Some(true) => self.truth(right, scope),
                None => Ok(self.truth(right, scope)?.filter(|right| *right)),
            },
            ExprKind::Binary(Operator::In, left, right) => {
                let item = self.operand(left, scope)?;
                match single(&item).map_err(located)? {
                    Some(item) => self.found(item, right, scope).map(Some),
                    None => Ok(None),
                }
            }
            ExprKind::Binary(Operator::Contains, left, right) => {
                let item = self.operand(right, scope)?;
                match single(&item).map_err(located)? {
                    Some(item) => self.found(item, left, scope).map(Some),
                    None => Ok(None),
                }
            }
            ExprKind::Binary(operator, left, right) if !operator.is_arithmetic() => {
                let left = self.operand(left, scope)?;
                let right = self.operand(right, scope)?;
                self.compare(*operator, &left, &right).map_err(located)
            }
            ExprKind::Is(operand, of) => {
                let value = self.operand(operand, scope)?;
                Ok(single(&value).map_err(located)?.map(|item| of.covers(item)))
            }
            _ => {
                let value = self.operand(expr, scope)?;
                boolean(&value).map_err(located)
            }
        }
    }

    /// `and`, `or`: stops at the first operand that decides; unknown is neither.
    fn chain(&mut self, operands: &[Expr], scope: Scope<'_, 'a>, deciding: bool) -> Result<Option<bool>, Fault> {
        let mut result = Some(!deciding);
        for operand in operands {
            match self.truth(operand, scope)? {
                Some(value) if value == deciding => return Ok(Some(deciding)),
                Some(_) => {}
                None => result = None,
            }
        }
        Ok(result)
    }

    /// Is the item in the collection that the expression gives? A union is searched part by part.
    fn found(&mut self, item: &Item<'a>, list: &Expr, scope: Scope<'_, 'a>) -> Result<bool, Fault> {
        match &list.kind {
            ExprKind::Path { head, steps } if steps.is_empty() => return self.found(item, head, scope),
            ExprKind::Chain(Chain::Union, parts) => {
                for part in parts {
                    if self.found(item, part, scope)? {
                        return Ok(true);
                    }
                }
                return Ok(false);
            }
            _ => {}
        }
        let list = self.operand(list, scope)?;
        self.contains(&list, item)
    }

    pub fn contains(&mut self, list: &[Item<'a>], item: &Item<'a>) -> Result<bool, Fault> {
        for other in list {
            if self.equal(item, other)? == Some(true) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn compare(&mut self, operator: Operator, left: &[Item<'a>], right: &[Item<'a>]) -> Result<Option<bool>, Fault> {
        match operator {
            Operator::Equal => self.equal_all(left, right),
            Operator::NotEqual => Ok(self.equal_all(left, right)?.map(|equal| !equal)),
            Operator::Equivalent => self.equivalent_all(left, right).map(Some),
            Operator::NotEquivalent => Ok(Some(!self.equivalent_all(left, right)?)),
            _ => {
                let (Some(left), Some(right)) = (single(left)?, single(right)?) else {
                    return Ok(None);
                };
                let order = order(left, right, self.environment)?;
                Ok(order.map(|order| match operator {
                    Operator::Less => order == Ordering::Less,
                    Operator::LessOrEqual => order != Ordering::Greater,
                    Operator::Greater => order == Ordering::Greater,
                    _ => order != Ordering::Less,
                }))
            }
        }
    }

    fn union_of(&mut self, operands: &[Expr], scope: Scope<'_, 'a>) -> Result<Items<'a>, Fault> {
        let mut all = Vec::new();
        for operand in operands {
            let defined = self.defined.len();
            let part = self.operand(operand, scope)?;
            self.spend_on_items(all.len() + part.len())?;
            all.extend(part.iter().cloned());
            self.defined.truncate(defined);
        }
        self.distinct(&all)
    }

    /// Each item once, in the order of first appearance.
    pub fn distinct(&mut self, items: &[Item<'a>]) -> Result<Items<'a>, Fault> {
        // Codes and ids come by the hundred; they need no comparison of each with each.
        if items.len() > 8 && items.iter().all(Item::is_text) {
            self.meter.spend(items.len())?;
            let mut seen = HashSet::with_capacity(items.len());
            return Ok(items.iter().filter(|item| seen.insert(item.as_str())).cloned().collect());
        }
        let mut kept: Items<'a> = Vec::with_capacity(items.len());
        for item in items {
            if !self.contains(&kept, item)? {
                kept.push(item.clone());
            }
        }
        Ok(kept)
    }

    fn variable<'x>(&self, name: &str) -> Result<Cow<'x, [Item<'a>]>, Fault>
    where
        'e: 'x,
    {
        if let Some((_, items)) = self.defined.iter().rev().find(|(known, _)| known == name) {
            return Ok(Cow::Owned(items.clone()));
        }
        let environment: &'e Environment<'a> = self.environment;
        if let Some(items) = environment.variable(name) {
            return Ok(Cow::Borrowed(items));
        }
        let url = |text: String| Ok(Cow::Owned(vec![Item::text(text)]));
        match name {
            "resource" | "rootResource" | "context" => Ok(Cow::Borrowed(self.root)),
            "ucum" => url("http://unitsofmeasure.org".to_owned()),
            "sct" => url("http://snomed.info/sct".to_owned()),
            "loinc" => url("http://loinc.org".to_owned()),
            _ => {
                if let Some(id) = name.strip_prefix("vs-") {
                    return url(format!("http://hl7.org/fhir/ValueSet/{id}"));
                }
                if let Some(id) = name.strip_prefix("ext-") {
                    return url(format!("http://hl7.org/fhir/StructureDefinition/{id}"));
                }
                Err(Fault::new(ErrorKind::UnknownVariable, format!("%{name} is not bound here")))
            }
        }
    }
}
