//! The part of the parser that reads members, calls and type names.

use crate::ast::{Call, Expr, ExprKind, Member, StepKind, TypeRef};
use crate::error::ParseError;
use crate::function::Function;
use crate::item::Item;
use crate::lexer::{Token, fail};
use crate::model::{Kind, TypeId};
use crate::parser::Parser;
use crate::regexes;
use crate::types::SystemType;

impl Parser<'_> {
    /// A name or a call. Words such as `contains` or `is` are names here, not operators.
    pub(crate) fn invocation(&mut self, first: bool) -> Result<StepKind, ParseError> {
        let at = self.at();
        match self.advance() {
            Token::Name(name, delimited) => {
                if !delimited && self.eat("(") {
                    return self.call(&name, at);
                }
                let sibling = format!("_{name}");
                let type_name = first.then(|| TypeId::named(&name)).flatten();
                let type_name =
                    type_name.filter(|of| of.kind() != Kind::Unknown && name.starts_with(char::is_uppercase));
                Ok(StepKind::Member(Member { name, sibling, type_name }))
            }
            Token::Special(name) => {
                Err(fail(self.text, at, format!("${name} cannot follow a dot"), "write it at the start of a path"))
            }
            _ => Err(fail(self.text, at, "a name is expected after the dot", "such as .given or .exists()")),
        }
    }

    fn call(&mut self, name: &str, at: usize) -> Result<StepKind, ParseError> {
        let Some(function) = Function::named(name) else {
            let hint = match Function::nearest(name) {
                Some(known) => format!("do you mean {known}()?"),
                None => "see the FHIRPath specification for the list of functions".to_owned(),
            };
            return Err(fail(self.text, at, format!("there is no function {name}()"), hint));
        };
        if matches!(function, Function::Is | Function::As | Function::OfType) {
            let of = self.type_specifier()?;
            self.expect(")")?;
            return Ok(StepKind::Call(Call {
                function,
                arguments: Vec::new(),
                type_argument: Some(of),
                pattern: None,
                descending: Vec::new(),
            }));
        }
        let mut arguments = Vec::new();
        let mut descending = Vec::new();
        if !self.eat(")") {
            loop {
                let (argument, down) = self.argument(function)?;
                arguments.push(argument);
                descending.push(down);
                if !self.eat(",") {
                    break;
                }
            }
            self.expect(")")?;
        }
        let (least, most) = function.arity();
        if arguments.len() < least || arguments.len() > most {
            let wanted = if least == most { least.to_string() } else { format!("{least} to {most}") };
            return Err(fail(
                self.text,
                at,
                format!("{name}() has {} arguments", arguments.len()),
                format!("it takes {wanted}"),
            ));
        }
        let pattern = self.literal_pattern(function, &arguments)?;
        Ok(StepKind::Call(Call { function, arguments, type_argument: None, pattern, descending }))
    }

    fn argument(&mut self, function: Function) -> Result<(Expr, bool), ParseError> {
        let mut argument = self.expression(0)?;
        if function != Function::Sort {
            return Ok((argument, false));
        }
        // In sort() a leading minus means downwards, for texts too.
        let mut down = false;
        if let ExprKind::Negate(key) = argument.kind {
            argument = *key;
            down = true;
        }
        match self.peek() {
            Token::Name(word, false) if word == "desc" => {
                self.advance();
                down = !down;
            }
            Token::Name(word, false) if word == "asc" => {
                self.advance();
            }
            _ => {}
        }
        Ok((argument, down))
    }

    /// A literal pattern is compiled once, and refused here rather than at run time.
    fn literal_pattern(&self, function: Function, arguments: &[Expr]) -> Result<Option<regex::Regex>, ParseError> {
        if !matches!(function, Function::Matches | Function::MatchesFull | Function::ReplaceMatches) {
            return Ok(None);
        }
        let flags = match (function, arguments) {
            (Function::ReplaceMatches, [_, _, flags]) | (Function::Matches | Function::MatchesFull, [_, flags]) => {
                match &flags.kind {
                    ExprKind::Literal(Item::String(flags)) => flags.as_str(),
                    _ => return Ok(None),
                }
            }
            _ => "",
        };
        let Some(Expr { kind: ExprKind::Literal(Item::String(pattern)), at, .. }) = arguments.first() else {
            return Ok(None);
        };
        regexes::compile(pattern.as_str(), function == Function::MatchesFull, flags).map(Some).ok_or_else(|| {
            fail(
                self.text,
                *at as usize,
                "the pattern is not a regular expression that can be run",
                "look-around and back references are not supported; patterns are limited in size",
            )
        })
    }

    /// `Quantity`, `FHIR.Patient`, `System.Date`, also in backticks.
    pub(crate) fn type_specifier(&mut self) -> Result<TypeRef, ParseError> {
        let at = self.at();
        let Token::Name(mut name, _) = self.advance() else {
            return Err(fail(self.text, at, "a type name is expected here", "such as Quantity or FHIR.Patient"));
        };
        let mut namespace = None;
        if matches!(name.as_str(), "FHIR" | "System") && self.eat(".") {
            let Token::Name(inner, _) = self.advance() else {
                return Err(fail(self.text, at, "a type name is expected here", "such as FHIR.Patient"));
            };
            namespace = Some(std::mem::replace(&mut name, inner));
        }
        let fhir = (namespace.as_deref() != Some("System")).then(|| TypeId::named(&name)).flatten();
        let system = (namespace.as_deref() != Some("FHIR")).then(|| SystemType::named(&name)).flatten();
        if fhir.is_none() && system.is_none() && namespace.as_deref() != Some("System") {
            return Err(fail(
                self.text,
                at,
                format!("there is no type {name}"),
                "FHIR R4 type names are case-sensitive",
            ));
        }
        Ok(TypeRef { fhir, system })
    }
}
