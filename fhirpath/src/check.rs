//! What is surely wrong in an expression, told from the FHIR R4 types without any data: the
//! misspelt element that would make a condition unknown for ever.

use crate::ast::{Call, Chain, Expr, ExprKind, Member, Step, StepKind};
use crate::error::Position;
use crate::function::Function as F;
use crate::item::Item;
use crate::model::{Element, Kind, TypeId};

/// Something that is surely wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The part of the expression.
    pub position: Position,
    /// What is wrong, and what to write instead where that can be told.
    pub message: String,
}

/// The types that a sub-expression may give; `None` where anything is possible.
type Types = Option<Vec<TypeId>>;

pub(crate) struct Checker<'c> {
    source: &'c str,
    variables: &'c [(&'c str, Option<&'c str>)],
    defined: Vec<(String, Types)>,
    in_repeat: bool,
    findings: Vec<Finding>,
}

/// Checks an expression that is evaluated on `focus` with these variables bound.
pub(crate) fn check(
    source: &str,
    root: &Expr,
    focus: Option<&str>,
    variables: &[(&str, Option<&str>)],
) -> Vec<Finding> {
    let mut checker = Checker { source, variables, defined: Vec::new(), in_repeat: false, findings: Vec::new() };
    let focus = focus.and_then(TypeId::named).map(|of| vec![of]);
    checker.infer(root, &focus, &focus);
    checker.findings
}

impl Checker<'_> {
    fn find(&mut self, at: u32, message: String) {
        let finding = Finding { position: Position::locate(self.source, at as usize), message };
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    fn infer(&mut self, expr: &Expr, this: &Types, root: &Types) -> Types {
        match &expr.kind {
            ExprKind::Literal(_) | ExprKind::Empty | ExprKind::Index | ExprKind::Total => None,
            ExprKind::This => this.clone(),
            ExprKind::Variable(name) => self.variable(name, expr.at, root),
            ExprKind::Path { head, steps } => {
                let defined = self.defined.len();
                let mut current = self.infer(head, this, root);
                for step in steps {
                    current = self.step(step, current, this, root);
                }
                self.defined.truncate(defined);
                current
            }
            ExprKind::Negate(operand) | ExprKind::Plus(operand) | ExprKind::Is(operand, _) => {
                self.infer(operand, this, root);
                None
            }
            ExprKind::As(operand, of) => {
                self.infer(operand, this, root);
                of.fhir.map(|of| vec![of])
            }
            ExprKind::Chain(chain, operands) => {
                let types: Vec<Types> = operands.iter().map(|operand| self.infer(operand, this, root)).collect();
                if *chain == Chain::Union { merged(types) } else { None }
            }
            ExprKind::Binary(_, left, right) => {
                self.infer(left, this, root);
                self.infer(right, this, root);
                None
            }
        }
    }

    fn variable(&mut self, name: &str, at: u32, root: &Types) -> Types {
        if let Some((_, types)) = self.defined.iter().rev().find(|(known, _)| known == name) {
            return types.clone();
        }
        if let Some((_, of)) = self.variables.iter().find(|(known, _)| *known == name) {
            return of.and_then(TypeId::named).map(|of| vec![of]);
        }
        match name {
            "resource" | "rootResource" | "context" => return root.clone(),
            "ucum" | "sct" | "loinc" => {}
            _ if name.starts_with("vs-") || name.starts_with("ext-") => {}
            _ => {
                let known: Vec<&str> = self.variables.iter().map(|(name, _)| *name).collect();
                self.find(at, format!("there is no variable %{name}; known are: {}", known.join(", ")));
            }
        }
        None
    }

    fn step(&mut self, step: &Step, current: Types, this: &Types, root: &Types) -> Types {
        match &step.kind {
            StepKind::Member(member) => match current {
                Some(current) => self.member(member, step.at, current),
                // A path that starts with the name of a resource type tells its focus.
                None => member.type_name.filter(|of| of.kind() == Kind::Resource).map(|of| vec![of]),
            },
            StepKind::Index(index) => {
                self.infer(index, this, root);
                current
            }
            StepKind::Call(call) => self.call(call, current, this, root),
        }
    }

    fn member(&mut self, member: &Member, at: u32, current: Vec<TypeId>) -> Types {
        if let Some(named) = member.type_name {
            // Either the type itself, or one of which the focus is only known in general.
            if current.iter().any(|of| of.is_a(named)) {
                return Some(current.into_iter().filter(|of| of.is_a(named)).collect());
            }
            if current.iter().any(|of| named.is_a(*of)) {
                return Some(vec![named]);
            }
        }
        let mut found = Vec::new();
        let mut hint = None;
        for of in &current {
            match of.element(&member.name) {
                Some(Element::One(of)) => found.push(*of),
                Some(Element::Choice(names)) => found.extend(names.iter().map(|(_, of)| *of)),
                // A resource of any type may have it; the System value of a primitive is one, too.
                None if is_general(*of) => return None,
                None if member.name == "value" && matches!(of.kind(), Kind::Primitive(_)) => return None,
                None => hint = hint.or_else(|| of.choice_spelled(&member.name)),
            }
        }
        if !found.is_empty() || current.is_empty() {
            found.sort_unstable();
            found.dedup();
            return Some(found);
        }
        let message = match hint {
            Some((choice, of)) => {
                format!("{} is a JSON name; write {choice} or {choice}.ofType({})", member.name, of.name())
            }
            None => {
                let names: Vec<&str> = current.iter().take(5).map(|of| of.name()).collect();
                format!("{} has no element {}", names.join(", "), member.name)
            }
        };
        self.find(at, message);
        None
    }

    fn call(&mut self, call: &Call, current: Types, this: &Types, root: &Types) -> Types {
        let scope = if call.function.is_lambda() { &current } else { this };
        if matches!(call.function, F::Repeat | F::RepeatAll) {
            return self.repeated(&call.arguments[0], scope, root);
        }
        let mut arguments: Vec<Types> = Vec::new();
        for argument in &call.arguments {
            let types = self.infer(argument, scope, root);
            arguments.push(types);
        }
        match call.function {
            F::Where
            | F::First
            | F::Last
            | F::Tail
            | F::Skip
            | F::Take
            | F::Single
            | F::Sort
            | F::Trace
            | F::Distinct
            | F::Intersect
            | F::Exclude => current,
            F::OfType | F::As => call.type_argument.and_then(|of| of.fhir).map(|of| vec![of]),
            F::Union | F::Combine => merged(std::iter::once(current).chain(arguments).collect()),
            F::Select => arguments.into_iter().next().flatten(),
            F::Iif => merged(arguments.into_iter().skip(1).collect()),
            F::Coalesce => merged(arguments),
            F::Extension => TypeId::named("Extension").map(|of| vec![of]),
            F::DefineVariable => {
                if let Some(ExprKind::Literal(Item::String(name))) = call.arguments.first().map(|name| &name.kind) {
                    let types = arguments.into_iter().nth(1).unwrap_or_else(|| current.clone());
                    self.defined.push((name.as_str().to_owned(), types));
                }
                current
            }
            _ => None,
        }
    }

    /// The types of all rounds, where the second round adds none to the first.
    fn repeated(&mut self, projection: &Expr, scope: &Types, root: &Types) -> Types {
        let first = self.infer(projection, scope, root)?;
        if self.in_repeat {
            return None;
        }
        // The later rounds are looked at for their types only.
        self.in_repeat = true;
        let findings = self.findings.len();
        let first = Some(first);
        let again = self.infer(projection, &first, root);
        self.findings.truncate(findings);
        self.in_repeat = false;
        let first = first?;
        again?.iter().all(|of| first.contains(of)).then_some(first)
    }
}

/// A type that stands for any resource.
fn is_general(of: TypeId) -> bool {
    matches!(of.name(), "Resource" | "DomainResource") || !of.is_known()
}

fn merged(all: Vec<Types>) -> Types {
    let mut merged: Vec<TypeId> = all.into_iter().collect::<Option<Vec<_>>>()?.into_iter().flatten().collect();
    merged.sort_unstable();
    merged.dedup();
    Some(merged)
}
