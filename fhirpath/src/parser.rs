//! Tokens to a tree, by precedence climbing; every bound that keeps evaluation safe is set here.

use crate::ast::{Chain, Expr, ExprKind, Operator, Step, StepKind};
use crate::error::ParseError;
use crate::item::Item;
use crate::lexer::{Lexeme, Token, fail, lex};
use crate::quantity::{CalendarUnit, Quantity, Unit};
use rust_decimal::Decimal;
use std::str::FromStr;
use std::sync::Arc;

/// The longest expression that is read, in bytes.
pub const MAX_LENGTH: usize = 64 * 1024;
/// How deep brackets and arguments may nest.
pub const MAX_NESTING: usize = 48;
/// How high the tree may grow, e.g. by a long sum.
const MAX_HEIGHT: u16 = 160;

pub(crate) fn parse(text: &str) -> Result<Expr, ParseError> {
    if text.len() > MAX_LENGTH {
        return Err(fail(text, MAX_LENGTH, "the expression is too long", "at most 64 KiB; use a value set"));
    }
    let mut parser = Parser { text, lexemes: lex(text)?, next: 0, nesting: 0 };
    let expr = parser.expression(0)?;
    match parser.peek() {
        Token::End => Ok(expr),
        _ => Err(parser.error("unexpected text after the expression", "join the parts by an operator such as 'and'")),
    }
}

pub(crate) struct Parser<'t> {
    pub(crate) text: &'t str,
    lexemes: Vec<Lexeme>,
    next: usize,
    nesting: usize,
}

enum Infix {
    Binary(Operator),
    Chain(Chain),
    Is,
    As,
}

impl Parser<'_> {
    pub(crate) fn peek(&self) -> &Token {
        self.lexemes.get(self.next).map_or(&Token::End, |lexeme| &lexeme.token)
    }

    pub(crate) fn at(&self) -> usize {
        self.lexemes.get(self.next).map_or(self.text.len(), |lexeme| lexeme.at)
    }

    pub(crate) fn advance(&mut self) -> Token {
        let token = self.peek().clone();
        self.next += 1;
        token
    }

    pub(crate) fn error(&self, message: &str, hint: &str) -> ParseError {
        fail(self.text, self.at(), message, hint)
    }

    pub(crate) fn eat(&mut self, symbol: &str) -> bool {
        let found = matches!(self.peek(), Token::Symbol(next) if *next == symbol);
        if found {
            self.next += 1;
        }
        found
    }

    pub(crate) fn expect(&mut self, symbol: &str) -> Result<(), ParseError> {
        if self.eat(symbol) {
            return Ok(());
        }
        let message = match self.peek() {
            Token::End => "the expression ends too early",
            _ => "unexpected text",
        };
        Err(self.error(message, &format!("'{symbol}' is expected here")))
    }

    fn infix(&self) -> Option<(u8, Infix)> {
        use Operator as Op;
        Some(match self.peek() {
            Token::Symbol(symbol) => match *symbol {
                "*" => (10, Infix::Binary(Op::Multiply)),
                "/" => (10, Infix::Binary(Op::Divide)),
                "+" => (9, Infix::Binary(Op::Add)),
                "-" => (9, Infix::Binary(Op::Subtract)),
                "&" => (9, Infix::Binary(Op::Concatenate)),
                "|" => (7, Infix::Chain(Chain::Union)),
                "<" => (6, Infix::Binary(Op::Less)),
                "<=" => (6, Infix::Binary(Op::LessOrEqual)),
                ">" => (6, Infix::Binary(Op::Greater)),
                ">=" => (6, Infix::Binary(Op::GreaterOrEqual)),
                "=" => (5, Infix::Binary(Op::Equal)),
                "!=" => (5, Infix::Binary(Op::NotEqual)),
                "~" => (5, Infix::Binary(Op::Equivalent)),
                "!~" => (5, Infix::Binary(Op::NotEquivalent)),
                _ => return None,
            },
            Token::Name(name, false) => match name.as_str() {
                "div" => (10, Infix::Binary(Op::IntegerDivide)),
                "mod" => (10, Infix::Binary(Op::Modulo)),
                "is" => (8, Infix::Is),
                "as" => (8, Infix::As),
                "in" => (4, Infix::Binary(Op::In)),
                "contains" => (4, Infix::Binary(Op::Contains)),
                "and" => (3, Infix::Chain(Chain::And)),
                "or" => (2, Infix::Chain(Chain::Or)),
                "xor" => (2, Infix::Binary(Op::Xor)),
                "implies" => (1, Infix::Binary(Op::Implies)),
                _ => return None,
            },
            _ => return None,
        })
    }

    /// An expression whose operators all bind at least as tightly as `least`.
    pub(crate) fn expression(&mut self, least: u8) -> Result<Expr, ParseError> {
        self.nesting += 1;
        if self.nesting > MAX_NESTING {
            return Err(self.error("the expression is nested too deeply", "split it into several conditions"));
        }
        let mut left = self.unary()?;
        while let Some((strength, infix)) = self.infix() {
            if strength < least {
                break;
            }
            let at = self.at();
            self.advance();
            left = match infix {
                Infix::Is | Infix::As => {
                    let of = self.type_specifier()?;
                    let operand = Box::new(left);
                    let kind = match infix {
                        Infix::Is => ExprKind::Is(operand, of),
                        _ => ExprKind::As(operand, of),
                    };
                    self.node(kind, at)?
                }
                Infix::Binary(operator) => {
                    let right = self.expression(strength + 1)?;
                    self.node(ExprKind::Binary(operator, Box::new(left), Box::new(right)), at)?
                }
                Infix::Chain(chain) => {
                    let right = self.expression(strength + 1)?;
                    self.extend_chain(chain, left, right, at)?
                }
            };
        }
        self.nesting -= 1;
        Ok(left)
    }

    fn extend_chain(&self, chain: Chain, left: Expr, right: Expr, at: usize) -> Result<Expr, ParseError> {
        let operands = match left {
            Expr { kind: ExprKind::Chain(same, mut operands), .. } if same == chain => {
                operands.push(right);
                operands
            }
            left => vec![left, right],
        };
        self.node(ExprKind::Chain(chain, operands), at)
    }

    fn unary(&mut self) -> Result<Expr, ParseError> {
        let at = self.at();
        let negative = if self.eat("-") {
            true
        } else if self.eat("+") {
            false
        } else {
            return self.postfix();
        };
        self.nesting += 1;
        if self.nesting > MAX_NESTING {
            return Err(self.error("too many signs", "one sign is enough"));
        }
        let operand = Box::new(self.unary()?);
        self.nesting -= 1;
        self.node(if negative { ExprKind::Negate(operand) } else { ExprKind::Plus(operand) }, at)
    }

    fn postfix(&mut self) -> Result<Expr, ParseError> {
        let start = self.at();
        let at = start;
        let mut steps = Vec::new();
        let head = match self.peek() {
            Token::Name(name, delimited) if *delimited || !matches!(name.as_str(), "true" | "false") => {
                let kind = self.invocation(true)?;
                steps.push(Step { kind, at: at as u32 });
                Expr { kind: ExprKind::This, at: at as u32, height: 1 }
            }
            _ => self.term()?,
        };
        loop {
            let at = self.at() as u32;
            if self.eat(".") {
                let at = self.at() as u32;
                let kind = self.invocation(false)?;
                steps.push(Step { kind, at });
            } else if self.eat("[") {
                let index = self.expression(0)?;
                self.expect("]")?;
                steps.push(Step { kind: StepKind::Index(Box::new(index)), at });
            } else if steps.is_empty() {
                return Ok(head);
            } else {
                return self.node(ExprKind::Path { head: Box::new(head), steps }, start);
            }
        }
    }

    fn term(&mut self) -> Result<Expr, ParseError> {
        let at = self.at();
        let kind = match self.advance() {
            Token::Symbol("(") => {
                let inner = self.expression(0)?;
                self.expect(")")?;
                // A bracketed chain must not be joined with what follows it.
                return match inner.kind {
                    ExprKind::Chain(..) => self.node(ExprKind::Path { head: Box::new(inner), steps: Vec::new() }, at),
                    _ => Ok(inner),
                };
            }
            Token::Symbol("{") => {
                self.expect("}")?;
                ExprKind::Empty
            }
            Token::Name(name, false) if name == "true" => ExprKind::Literal(Item::Boolean(true)),
            Token::Name(name, false) if name == "false" => ExprKind::Literal(Item::Boolean(false)),
            Token::Text(text) => ExprKind::Literal(Item::text(text)),
            Token::Integer(digits) => {
                let value: i64 = digits
                    .parse()
                    .map_err(|_| fail(self.text, at, "the number is too large", "at most 9223372036854775807"))?;
                match self.unit() {
                    Some(unit) => quantity(Decimal::from(value), unit),
                    None => ExprKind::Literal(Item::Integer(value)),
                }
            }
            Token::Decimal(digits) => {
                let value = Decimal::from_str(&digits)
                    .map_err(|_| fail(self.text, at, "the number has too many digits", "at most 28 digits are kept"))?;
                match self.unit() {
                    Some(unit) => quantity(value, unit),
                    None => ExprKind::Literal(Item::Decimal(value)),
                }
            }
            Token::Date(date) => ExprKind::Literal(Item::Date(date)),
            Token::DateTime(date_time) => ExprKind::Literal(Item::DateTime(date_time)),
            Token::Time(time) => ExprKind::Literal(Item::Time(time)),
            Token::Special(name) => match name.as_str() {
                "this" => ExprKind::This,
                "index" => ExprKind::Index,
                _ => ExprKind::Total,
            },
            Token::Variable(name) => ExprKind::Variable(Arc::from(name)),
            token => {
                self.next -= 1;
                return Err(match token {
                    Token::End => self.error("the expression ends too early", "an operand is expected here"),
                    _ => self.error("an operand is expected here", "a path, a literal, %variable or (…)"),
                });
            }
        };
        Ok(Expr { kind, at: at as u32, height: 1 })
    }

    /// The unit after a number: `'mg'` or a calendar word.
    fn unit(&mut self) -> Option<Unit> {
        let unit = match self.peek() {
            Token::Text(unit) => Unit::ucum(unit),
            Token::Name(word, false) => Unit::Calendar(CalendarUnit::named(word)?),
            _ => return None,
        };
        self.next += 1;
        Some(unit)
    }

    pub(crate) fn node(&self, kind: ExprKind, at: usize) -> Result<Expr, ParseError> {
        let below = match &kind {
            ExprKind::Path { head, steps } => steps.iter().fold(head.height, |highest, step| {
                highest.max(match &step.kind {
                    StepKind::Member(_) => 0,
                    StepKind::Index(index) => index.height,
                    StepKind::Call(call) => call.arguments.iter().map(|arg| arg.height).max().unwrap_or(0),
                })
            }),
            ExprKind::Negate(operand) | ExprKind::Plus(operand) => operand.height,
            ExprKind::Is(operand, _) | ExprKind::As(operand, _) => operand.height,
            ExprKind::Binary(_, left, right) => left.height.max(right.height),
            ExprKind::Chain(_, operands) => operands.iter().map(|operand| operand.height).max().unwrap_or(0),
            _ => 0,
        };
        if below >= MAX_HEIGHT {
            return Err(fail(self.text, at, "the expression has too many levels", "split it into several conditions"));
        }
        Ok(Expr { kind, at: at as u32, height: below + 1 })
    }
}

fn quantity(value: Decimal, unit: Unit) -> ExprKind {
    ExprKind::Literal(Item::Quantity(Box::new(Quantity { value, unit })))
}
