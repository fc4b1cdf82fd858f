//! What an expression reads, told without running it.

use crate::ast::{Call, Expr, ExprKind, Step, StepKind, TypeRef};
use crate::function::Function as F;
use crate::item::Item;
use crate::model::{Kind, TypeId};
use std::collections::BTreeSet;
use std::fmt;

/// Where a path starts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Root {
    /// The resource that the expression is evaluated on.
    Focus,
    /// `%name`
    Variable(String),
}

/// A path that is read: `Condition.onset`, `%patient.birthDate`. Elements are named as written; a
/// `*` stands for all children, `**` for all descendants.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path {
    /// Where it starts.
    pub root: Root,
    /// The elements from there, the name of the type included where it was written.
    pub elements: Vec<String>,
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let elements = self.elements.join(".");
        match &self.root {
            Root::Focus => f.write_str(&elements),
            Root::Variable(name) if elements.is_empty() => write!(f, "%{name}"),
            Root::Variable(name) => write!(f, "%{name}.{elements}"),
        }
    }
}

/// What an expression reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct References {
    /// Variables that the environment must bind; without the built-in ones and those that
    /// `defineVariable` binds.
    pub variables: BTreeSet<String>,
    /// Every path, to its last element.
    pub paths: BTreeSet<Path>,
    /// Every function.
    pub functions: BTreeSet<&'static str>,
    /// True where the result depends on `now()`, `today()` or `timeOfDay()`.
    pub reads_clock: bool,
    /// Resource types named at the start of a path or as a type argument.
    pub resource_types: BTreeSet<&'static str>,
}

/// How deep a path is followed through `repeat`.
const MAX_ELEMENTS: usize = 32;
/// How many paths one sub-expression is followed on.
const MAX_PATHS: usize = 64;

pub(crate) fn references(root: &Expr) -> References {
    let mut reader = Reader { found: References::default(), defined: Vec::new() };
    let focus = [Path { root: Root::Focus, elements: Vec::new() }];
    let result = reader.read(root, &focus);
    reader.record(&result);
    reader.found.paths.retain(|path| path.root != Root::Focus || !path.elements.is_empty());
    reader.found
}

struct Reader {
    found: References,
    defined: Vec<(String, Vec<Path>)>,
}

impl Reader {
    fn record(&mut self, paths: &[Path]) {
        self.found.paths.extend(paths.iter().cloned());
    }

    fn record_all(&mut self, arguments: &[Vec<Path>]) {
        for read in arguments {
            self.record(read);
        }
    }

    /// The paths whose elements the expression results in; all others that it reads are recorded.
    fn read(&mut self, expr: &Expr, this: &[Path]) -> Vec<Path> {
        match &expr.kind {
            ExprKind::Literal(_) | ExprKind::Empty | ExprKind::Index | ExprKind::Total => Vec::new(),
            ExprKind::This => this.to_vec(),
            ExprKind::Variable(name) => self.variable(name),
            ExprKind::Path { head, steps } => {
                let defined = self.defined.len();
                let mut current = self.read(head, this);
                for step in steps {
                    current = self.step(step, current, this);
                }
                self.defined.truncate(defined);
                current
            }
            ExprKind::Negate(operand) | ExprKind::Plus(operand) => {
                let read = self.read(operand, this);
                self.record(&read);
                Vec::new()
            }
            ExprKind::Is(operand, of) => {
                self.type_named(*of);
                let read = self.read(operand, this);
                self.record(&read);
                Vec::new()
            }
            ExprKind::As(operand, of) => {
                self.type_named(*of);
                self.read(operand, this)
            }
            ExprKind::Chain(crate::ast::Chain::Union, operands) => {
                let mut all = Vec::new();
                for operand in operands {
                    all.extend(self.read(operand, this));
                    if all.len() > MAX_PATHS {
                        all = bounded(all);
                    }
                }
                bounded(all)
            }
            ExprKind::Chain(_, operands) => {
                for operand in operands {
                    let read = self.read(operand, this);
                    self.record(&read);
                }
                Vec::new()
            }
            ExprKind::Binary(_, left, right) => {
                for operand in [left, right] {
                    let read = self.read(operand, this);
                    self.record(&read);
                }
                Vec::new()
            }
        }
    }

    fn variable(&mut self, name: &str) -> Vec<Path> {
        if let Some((_, paths)) = self.defined.iter().rev().find(|(known, _)| known == name) {
            return paths.clone();
        }
        match name {
            "resource" | "rootResource" | "context" => {
                return vec![Path { root: Root::Focus, elements: Vec::new() }];
            }
            "ucum" | "sct" | "loinc" => return Vec::new(),
            _ if name.starts_with("vs-") || name.starts_with("ext-") => return Vec::new(),
            _ => {}
        }
        self.found.variables.insert(name.to_owned());
        vec![Path { root: Root::Variable(name.to_owned()), elements: Vec::new() }]
    }

    fn step(&mut self, step: &Step, current: Vec<Path>, this: &[Path]) -> Vec<Path> {
        match &step.kind {
            StepKind::Member(member) => {
                if let Some(of) = member.type_name {
                    self.resource(of);
                }
                extended(current, &member.name)
            }
            StepKind::Index(index) => {
                let read = self.read(index, this);
                self.record(&read);
                current
            }
            StepKind::Call(call) => self.call(call, current, this),
        }
    }

    fn call(&mut self, call: &Call, current: Vec<Path>, this: &[Path]) -> Vec<Path> {
        self.found.functions.insert(call.function.name());
        self.found.reads_clock |= call.function.reads_clock();
        if let Some(of) = call.type_argument {
            self.type_named(of);
        }
        let scope: &[Path] = if call.function.is_lambda() { &current } else { this };
        let mut arguments: Vec<Vec<Path>> = Vec::new();
        for argument in &call.arguments {
            let read = self.read(argument, scope);
            arguments.push(read);
        }
        match call.function {
            F::Where
            | F::First
            | F::Last
            | F::Tail
            | F::Skip
            | F::Take
            | F::Single
            | F::OfType
            | F::As
            | F::Sort
            | F::Trace
            | F::Distinct
            | F::Intersect
            | F::Exclude => {
                self.record_all(&arguments);
                current
            }
            F::Union | F::Combine => bounded(current.into_iter().chain(arguments.into_iter().flatten()).collect()),
            F::Select => arguments.into_iter().next().unwrap_or_default(),
            F::Iif => {
                self.record(&arguments[0]);
                bounded(arguments.into_iter().skip(1).flatten().collect())
            }
            F::Coalesce => bounded(arguments.into_iter().flatten().collect()),
            // Where the second round leads is not followed: it may read anything below.
            F::Repeat | F::RepeatAll => {
                let first = arguments.into_iter().next().unwrap_or_default();
                self.record(&extended(first.clone(), "**"));
                first
            }
            F::Children => extended(current, "*"),
            F::Descendants => extended(current, "**"),
            F::Extension => {
                self.record_all(&arguments);
                extended(current, "extension")
            }
            F::Resolve => {
                self.record(&extended(current, "reference"));
                Vec::new()
            }
            F::DefineVariable => {
                let name = match call.arguments.first().map(|name| &name.kind) {
                    Some(ExprKind::Literal(Item::String(name))) => name.as_str().to_owned(),
                    _ => return current,
                };
                let value = arguments.into_iter().nth(1).unwrap_or_else(|| current.clone());
                self.defined.push((name, value));
                current
            }
            _ => {
                self.record(&current);
                self.record_all(&arguments);
                Vec::new()
            }
        }
    }

    fn type_named(&mut self, of: TypeRef) {
        if let Some(of) = of.fhir {
            self.resource(of);
        }
    }

    fn resource(&mut self, of: TypeId) {
        if of.kind() == Kind::Resource {
            self.found.resource_types.insert(of.name());
        }
    }
}

/// Beyond the bound everything below the roots counts as read, so that a check errs on the safe side.
fn bounded(mut paths: Vec<Path>) -> Vec<Path> {
    paths.sort();
    paths.dedup();
    let whole: Vec<Root> = paths.iter().filter(|path| path.elements == ["**"]).map(|path| path.root.clone()).collect();
    paths.retain(|path| path.elements == ["**"] || !whole.contains(&path.root));
    if paths.len() > MAX_PATHS {
        for path in &mut paths {
            path.elements = vec!["**".to_owned()];
        }
        paths.dedup();
        paths.truncate(MAX_PATHS);
    }
    paths
}

fn extended(mut paths: Vec<Path>, name: &str) -> Vec<Path> {
    for path in &mut paths {
        let end = path.elements.last().is_some_and(|last| last == "**");
        if !end {
            let full = path.elements.len() + 1 >= MAX_ELEMENTS;
            path.elements.push(if full { "**".to_owned() } else { name.to_owned() });
        }
    }
    paths
}
