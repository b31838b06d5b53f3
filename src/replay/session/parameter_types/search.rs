//! Which types are tried for a statement's parameters, one attempt after the other.

use std::collections::VecDeque;

use smallvec::SmallVec;

use super::guess::Candidates;
use super::{ParamType, ParamTyping, Value, candidates, fits, oid, widened, works_with_ranges};
use crate::pglog::SqlState;
use crate::sql;

/// How many attempts a search makes at the most. Each is a Parse that fails, and a statement whose types
/// were found is not searched for again.
const ATTEMPTS: usize = 40;

/// Why the server refused an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// With this code.
    pub code: SqlState,
    /// The parameter that it names, from 1.
    pub parameter: Option<u16>,
}

/// The search for types that the server accepts.
///
/// 1. The server infers all. Where it names a parameter, that one alone is guessed, at first by its most
///    likely type.
/// 2. Where it names none, all are that it does not cast itself (`$1::int`).
/// 3. Then the less likely types of those that are guessed, the likely ones first.
#[derive(Debug)]
pub struct TypeSearch {
    chosen: SmallVec<[Choice; 4]>,
    /// What is chosen from, once anything is.
    candidates: Vec<Candidates>,
    /// Whether all parameters that the server does not cast are guessed.
    all: bool,
    /// Whether NULLs are of type `void`. PostgreSQL leaves parameters of that type out of a function's
    /// arguments, which is how JDBC sends the OUT parameters of a call.
    void_nulls: bool,
    /// What is still to be tried of less likely types.
    ahead: Option<VecDeque<SmallVec<[Choice; 4]>>>,
    attempts: usize,
    /// Why the first attempt was refused: without any guess of ours.
    first_refusal: Option<SqlState>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Choice {
    Inferred,
    Candidate(usize),
    Given(u32),
}

impl TypeSearch {
    /// A search that begins with the server's own choice.
    pub fn new(parameters: usize) -> Self {
        Self {
            chosen: SmallVec::from_elem(Choice::Inferred, parameters),
            candidates: Vec::new(),
            all: false,
            void_nulls: false,
            ahead: None,
            attempts: 0,
            first_refusal: None,
        }
    }

    /// A search that begins with the types that fit these values and, as far as can be told, those
    /// before, for which the statement was prepared with `types`.
    pub fn widening(types: &[u32], values: &[Value]) -> Self {
        let choice = |(at, value): (usize, &Value)| match types.get(at) {
            None | Some(&oid::UNKNOWN) => Choice::Inferred,
            Some(&oid::VOID) if value.is_none() => Choice::Inferred,
            Some(&oid) if fits(oid, value.as_deref()) => Choice::Given(oid),
            Some(&oid) => Choice::Given(widened(oid, value.as_deref())),
        };
        let chosen = values.iter().enumerate().map(choice).collect();
        Self { chosen, ..Self::new(0) }
    }

    /// A search that begins with what is known of the text.
    pub(super) fn from(typing: &ParamTyping, values: &[Value], sql: &str) -> Self {
        let choice = |(at, value): (usize, &Value)| match typing.0.get(at) {
            None | Some(ParamType::Inferred) => Choice::Inferred,
            Some(ParamType::Guessed { .. }) => Choice::Candidate(0),
            Some(&ParamType::Fixed(oid)) if fits(oid, value.as_deref()) => Choice::Given(oid),
            Some(&ParamType::Fixed(oid)) => Choice::Given(widened(oid, value.as_deref())),
        };
        let chosen = values.iter().enumerate().map(choice).collect();
        let mut search = Self { chosen, ..Self::new(0) };
        search.find_candidates(values, sql);
        search
    }

    fn find_candidates(&mut self, values: &[Value], sql: &str) {
        if self.candidates.is_empty() {
            let ranges = works_with_ranges(sql);
            let all = values.iter().map(|value| candidates(value.as_deref(), ranges));
            self.candidates = all.collect();
        }
    }

    /// Whether anything is guessed.
    pub fn guesses(&self) -> bool {
        self.chosen.iter().any(|choice| *choice != Choice::Inferred)
    }

    /// The types to try, as OIDs for Parse; empty where the server infers all.
    pub fn types(&self) -> Vec<u32> {
        if !self.guesses() {
            return Vec::new();
        }
        let oid = |(at, choice): (usize, &Choice)| match *choice {
            Choice::Inferred => oid::UNKNOWN,
            Choice::Given(oid) => oid,
            Choice::Candidate(candidate) => match self.candidates[at][candidate] {
                oid::UNKNOWN if self.void_nulls => oid::VOID,
                oid => oid,
            },
        };
        self.chosen.iter().enumerate().map(oid).collect()
    }

    /// What to remember of types that were accepted.
    pub fn typing(&self) -> ParamTyping {
        let types = self.types();
        let param = |(at, choice): (usize, &Choice)| match *choice {
            Choice::Inferred => ParamType::Inferred,
            Choice::Candidate(candidate)
                if self.candidates[at][0] == oid::UNKNOWN && types[at] != oid::VOID =>
            {
                ParamType::Guessed { null: self.candidates[at][candidate] }
            }
            // A NULL tells nothing of its type, and those of its other values are known to be taken.
            Choice::Candidate(0) if types[at] != oid::VOID => {
                ParamType::Guessed { null: types[at] }
            }
            Choice::Candidate(_) | Choice::Given(_) => ParamType::Fixed(types[at]),
        };
        ParamTyping(self.chosen.iter().enumerate().map(param).collect())
    }

    /// Why the server refused the statement without any guess of ours.
    pub fn first_refusal(&self) -> Option<SqlState> {
        self.first_refusal
    }

    /// Goes on to the next types; `false`: there are none.
    pub fn refused(&mut self, refusal: Refusal, values: &[Value], sql: &str) -> bool {
        self.first_refusal.get_or_insert(refusal.code);
        self.attempts += 1;
        if self.attempts >= ATTEMPTS {
            return false;
        }
        self.find_candidates(values, sql);
        let named = refusal.parameter.map(|number| usize::from(number).wrapping_sub(1));
        if let Some(at) = named.filter(|_| self.ahead.is_none())
            && self.guess_more(at)
        {
            return true;
        }
        if !self.all {
            self.all = true;
            if self.guess_all(sql) {
                return true;
            }
        }
        // No such function: perhaps there is one with fewer arguments.
        if &refusal.code.0 == b"42883" && !self.void_nulls && self.ahead.is_none() {
            self.void_nulls = true;
            let has_nulls = |(at, choice): (usize, &Choice)| {
                *choice != Choice::Inferred && values.get(at).is_some_and(Option::is_none)
            };
            if self.chosen.iter().enumerate().any(has_nulls) {
                return true;
            }
        }
        self.void_nulls = false;
        if self.ahead.is_none() {
            self.ahead = Some(self.less_likely());
        }
        match self.ahead.as_mut().and_then(VecDeque::pop_front) {
            Some(next) => {
                self.chosen = next;
                true
            }
            None => false,
        }
    }

    /// Guesses this parameter, or its next likely type.
    fn guess_more(&mut self, at: usize) -> bool {
        let (Some(choice), Some(candidates)) = (self.chosen.get_mut(at), self.candidates.get(at))
        else {
            return false;
        };
        let next = match *choice {
            // Of a NULL the first leaves it to the server once more.
            Choice::Inferred => usize::from(candidates.first() == Some(&oid::UNKNOWN)),
            Choice::Candidate(candidate) => candidate + 1,
            Choice::Given(oid) => {
                candidates.iter().position(|it| *it == oid).map_or(0, |it| it + 1)
            }
        };
        if next < candidates.len() {
            *choice = Choice::Candidate(next);
        }
        next < candidates.len()
    }

    /// Guesses all that are not cast in the text. Returns whether that changes anything.
    fn guess_all(&mut self, sql: &str) -> bool {
        let cast = sql::cast_parameters(sql);
        let before = self.chosen.clone();
        for (at, choice) in self.chosen.iter_mut().enumerate() {
            if *choice == Choice::Inferred && !cast.contains(&(at + 1)) {
                *choice = Choice::Candidate(0);
            }
        }
        self.chosen != before
    }

    /// The less likely types of the parameters that are guessed, and, where nothing of that helps, guesses
    /// for those too that are cast.
    fn less_likely(&self) -> VecDeque<SmallVec<[Choice; 4]>> {
        let mut all = self.of_one_type();
        all.extend(self.combinations());
        all.sort_by_key(|chosen| self.remoteness(chosen));
        let mut ahead: VecDeque<SmallVec<[Choice; 4]>> = VecDeque::new();
        for chosen in all {
            if ahead.len() + 1 >= ATTEMPTS {
                break;
            }
            if chosen != self.chosen && !ahead.contains(&chosen) {
                ahead.push_back(chosen);
            }
        }
        let everything = self.chosen.iter().map(|choice| match choice {
            Choice::Inferred => Choice::Candidate(0),
            choice => *choice,
        });
        let everything: SmallVec<[Choice; 4]> = everything.collect();
        if everything != self.chosen {
            ahead.insert(ahead.len().min(4), everything);
        }
        ahead
    }

    /// How late an attempt comes: first those with another type for one parameter, or one type for all,
    /// as most operators take them; of these the likely ones.
    fn remoteness(&self, chosen: &[Choice]) -> usize {
        /// Several other types are tried behind one that is so much less likely.
        const OF_SEVERAL: usize = 3;
        let each = chosen.iter().map(|choice| match choice {
            Choice::Candidate(candidate) => *candidate,
            Choice::Inferred | Choice::Given(_) => 0,
        });
        let others = chosen.iter().zip(&self.chosen).filter(|(now, before)| now != before).count();
        if self.is_of_one_type(chosen) {
            each.max().unwrap_or_default().max(2)
        } else if others > 1 {
            each.sum::<usize>() + OF_SEVERAL
        } else {
            each.sum()
        }
    }

    /// Whether all that are guessed, two or more, have the same type.
    fn is_of_one_type(&self, chosen: &[Choice]) -> bool {
        let types = chosen.iter().enumerate().filter_map(|(at, choice)| match *choice {
            Choice::Inferred => None,
            Choice::Given(oid) => Some(oid),
            Choice::Candidate(candidate) => Some(self.candidates[at][candidate]),
        });
        let types: SmallVec<[u32; 4]> = types.collect();
        types.len() > 1 && types.iter().all(|oid| *oid == types[0])
    }

    /// Each type that all which are guessed may have.
    fn of_one_type(&self) -> Vec<SmallVec<[Choice; 4]>> {
        let guessed = self.chosen.iter().position(|choice| *choice != Choice::Inferred);
        let Some(first) = guessed.and_then(|at| self.candidates.get(at)) else { return Vec::new() };
        let of_type = |oid: &u32| {
            let choices = self.chosen.iter().zip(&self.candidates).map(|(choice, candidates)| {
                if *choice == Choice::Inferred {
                    return Some(Choice::Inferred);
                }
                candidates.iter().position(|candidate| candidate == oid).map(Choice::Candidate)
            });
            choices.collect::<Option<_>>()
        };
        first.iter().filter_map(of_type).collect()
    }

    /// The combinations of less likely types.
    fn combinations(&self) -> Vec<SmallVec<[Choice; 4]>> {
        let mut all = vec![self.chosen.clone()];
        for (at, choice) in self.chosen.iter().enumerate() {
            let from = match choice {
                Choice::Inferred => continue,
                Choice::Candidate(candidate) => *candidate,
                Choice::Given(_) => 0,
            };
            let more = all.iter().flat_map(|chosen| {
                (from + 1..self.candidates[at].len()).map(|candidate| {
                    let mut chosen = chosen.clone();
                    chosen[at] = Choice::Candidate(candidate);
                    chosen
                })
            });
            let more: Vec<_> = more.take(ATTEMPTS * ATTEMPTS).collect();
            all.extend(more);
        }
        all
    }
}
