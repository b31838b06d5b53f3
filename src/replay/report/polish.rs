//! What shapes share in a block of time, taken off.
//!
//! A build on the same machine makes everything slower for a while. What all shapes have in common in a
//! block of time says nothing of one of them, so a table of shapes and blocks is taken apart into a level
//! for each shape and an effect of each block, by medians: median polish (J. W. Tukey, "Exploratory Data
//! Analysis", 1977, chapter 11).

use std::collections::BTreeMap;

use super::factor::{self, ShapeRatio};

/// It changes little after that.
const ROUNDS: usize = 4;

/// The logarithms of a shape's ratios by block, in the order of the blocks.
pub(super) type Row = Vec<(u32, f64)>;

/// Takes off the rows what they share in each block. `weights` are the shapes'. Blocks with fewer shapes
/// than have a factor stay as they are.
pub(super) fn polish(rows: &[Row], weights: &[f64]) -> Vec<Row> {
    let mut effects: BTreeMap<u32, f64> = BTreeMap::new();
    let mut levels: Vec<f64> = rows.iter().map(|row| level(row, &effects)).collect();
    let mut columns: BTreeMap<u32, Vec<(usize, f64)>> = BTreeMap::new();
    for (shape, row) in rows.iter().enumerate() {
        for &(block, ratio) in row {
            columns.entry(block).or_default().push((shape, ratio));
        }
    }
    columns.retain(|_, column| column.len() >= factor::LEAST_SHAPES);
    for _ in 0..ROUNDS {
        effects = columns
            .iter()
            .map(|(block, column)| (*block, shared(column, &levels, weights)))
            .collect();
        let typical = median_of(effects.values().copied());
        effects.values_mut().for_each(|effect| *effect -= typical);
        levels = rows.iter().map(|row| level(row, &effects)).collect();
    }
    let less = |row: &Row| -> Row {
        row.iter().map(|&(block, ratio)| (block, ratio - effect(&effects, block))).collect()
    };
    rows.iter().map(less).collect()
}

/// By how much the shapes of a block are above their levels, in common.
fn shared(column: &[(usize, f64)], levels: &[f64], weights: &[f64]) -> f64 {
    let above = column.iter().map(|&(shape, ratio)| ShapeRatio {
        log_ratio: ratio - levels[shape],
        weight: weights[shape],
        least: 0.0,
    });
    factor::median(above.collect())
}

fn level(row: &Row, effects: &BTreeMap<u32, f64>) -> f64 {
    median_of(row.iter().map(|&(block, ratio)| ratio - effect(effects, block)))
}

fn effect(effects: &BTreeMap<u32, f64>, block: u32) -> f64 {
    effects.get(&block).copied().unwrap_or(0.0)
}

fn median_of(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    median(&values)
}

/// The median of sorted values, between the two in the middle; 0 of nothing.
pub(super) fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    match sorted.get(middle) {
        None => 0.0,
        Some(&upper) if sorted.len() % 2 == 1 => upper,
        Some(&upper) => f64::midpoint(sorted[middle - 1], upper),
    }
}

#[cfg(test)]
mod tests;
