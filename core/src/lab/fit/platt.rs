//! Platt's map (Platt 1999) from score and lead to the chance of being right, by Newton's method.

use super::{Told, hundredths};
use crate::rca::weights::Calibration;

/// Pull of the slopes to 0: it only decides where nothing was wrong.
const RIDGE: f64 = 0.01;

pub(super) fn fit(told: impl Iterator<Item = Told>) -> Calibration {
    let mut rows: Vec<([f64; 3], f64)> = told.map(|t| ([1.0, t.total, t.lead], t.right)).collect();
    let mut map = newton(&rows);
    // More points never make less sure: where the lead tells all there is, the score tells nothing.
    if map[1] < 0.0 {
        for (x, _) in &mut rows {
            x[1] = 0.0;
        }
        map = newton(&rows);
    }
    Calibration {
        bias: hundredths(map[0]),
        score: hundredths(map[1]),
        margin: hundredths(map[2]),
    }
}

fn newton(rows: &[([f64; 3], f64)]) -> [f64; 3] {
    let mut map = [0.0; 3];
    for _ in 0..50 {
        let mut gradient = [-RIDGE * map[0], -RIDGE * map[1], -RIDGE * map[2]];
        let mut curvature = [[RIDGE, 0.0, 0.0], [0.0, RIDGE, 0.0], [0.0, 0.0, RIDGE]];
        for (x, right) in rows {
            let p = 1.0 / (1.0 + (-(0..3).map(|i| map[i] * x[i]).sum::<f64>()).exp());
            for i in 0..3 {
                gradient[i] += (right - p) * x[i];
                for j in 0..3 {
                    curvature[i][j] += p * (1.0 - p) * x[i] * x[j];
                }
            }
        }
        let step = solve(curvature, gradient);
        // A long step is cut: far from the answer the curvature says little.
        let length = step.iter().map(|s| s.abs()).fold(0.0, f64::max);
        let share = if length > 1.0 { 1.0 / length } else { 1.0 };
        for i in 0..3 {
            map[i] += share * step[i];
        }
        if length < 1e-9 {
            break;
        }
    }
    map
}

/// Solves three equations by Cramer's rule; the ridge keeps them solvable.
fn solve(a: [[f64; 3]; 3], b: [f64; 3]) -> [f64; 3] {
    let det = |m: &[[f64; 3]; 3]| {
        m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1])
            - m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0])
            + m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0])
    };
    let whole = det(&a);
    [0, 1, 2].map(|column| {
        let mut replaced = a;
        for row in 0..3 {
            replaced[row][column] = b[row];
        }
        det(&replaced) / whole
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_map_gives_back_the_shares_it_was_fitted_to() {
        // Of answers with a lead of 0 a half is right, with a lead of 2 nine of ten.
        let told = |lead: f64, right: f64, n: usize| {
            (0..n).map(move |_| Told {
                total: 1.0,
                lead,
                right,
            })
        };
        let all = told(0.0, 1.0, 50)
            .chain(told(0.0, 0.0, 50))
            .chain(told(2.0, 1.0, 90))
            .chain(told(2.0, 0.0, 10));
        let map = fit(all);
        assert!((map.confidence(1.0, 0.0) - 0.5).abs() < 0.02, "{map:?}");
        assert!((map.confidence(1.0, 2.0) - 0.9).abs() < 0.02, "{map:?}");
    }
}
