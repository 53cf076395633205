//! Fits Platt's map (Platt 1999) from score and lead to the probability of being right, by Newton's
//! method.

use super::hundredths;
use super::sample::FirstCause;
use crate::rca::weights::Calibration;

/// Strength of the ridge: so small that it matters only where every answer is right.
const RIDGE: f64 = 0.01;

/// One answer: its regressors (1, score, lead) and whether it is right, 0 or 1.
struct Row {
    x: [f64; 3],
    right: f64,
}

pub(super) fn fit(answers: impl Iterator<Item = FirstCause>) -> Calibration {
    let mut rows: Vec<Row> = answers
        .map(|a| Row {
            x: [1.0, a.total, a.lead],
            right: a.right,
        })
        .collect();
    let mut map = newton(&rows);
    // A higher score must not lower the confidence: then the lead alone determines it.
    if map[1] < 0.0 {
        for row in &mut rows {
            row.x[1] = 0.0;
        }
        map = newton(&rows);
    }
    Calibration {
        bias: hundredths(map[0]),
        score: hundredths(map[1]),
        margin: hundredths(map[2]),
    }
}

fn newton(rows: &[Row]) -> [f64; 3] {
    let mut map = [0.0; 3];
    for _ in 0..50 {
        let mut gradient = [-RIDGE * map[0], -RIDGE * map[1], -RIDGE * map[2]];
        let mut curvature = [[RIDGE, 0.0, 0.0], [0.0, RIDGE, 0.0], [0.0, 0.0, RIDGE]];
        for Row { x, right } in rows {
            let p = 1.0 / (1.0 + (-(0..3).map(|i| map[i] * x[i]).sum::<f64>()).exp());
            for i in 0..3 {
                gradient[i] += (right - p) * x[i];
                for j in 0..3 {
                    curvature[i][j] += p * (1.0 - p) * x[i] * x[j];
                }
            }
        }
        let step = solve(curvature, gradient);
        // Far from the solution the curvature is misleading: limit the step.
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

/// Solves three linear equations by Cramer's rule; the ridge makes them solvable.
fn solve(a: [[f64; 3]; 3], b: [f64; 3]) -> [f64; 3] {
    let det = |m: &[[f64; 3]; 3]| {
        m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1])
            - m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0])
            + m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0])
    };
    let determinant = det(&a);
    [0, 1, 2].map(|column| {
        let mut replaced = a;
        for row in 0..3 {
            replaced[row][column] = b[row];
        }
        det(&replaced) / determinant
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_map_reproduces_the_shares_that_it_was_fitted_to() {
        // Half of the answers with a lead of 0 are right, nine of ten with a lead of 2.
        let answers = |lead: f64, right: f64, n: usize| {
            (0..n).map(move |_| FirstCause {
                total: 1.0,
                lead,
                right,
            })
        };
        let all = answers(0.0, 1.0, 50)
            .chain(answers(0.0, 0.0, 50))
            .chain(answers(2.0, 1.0, 90))
            .chain(answers(2.0, 0.0, 10));
        let map = fit(all);
        assert!((map.confidence(1.0, 0.0) - 0.5).abs() < 0.02, "{map:?}");
        assert!((map.confidence(1.0, 2.0) - 0.9).abs() < 0.02, "{map:?}");
    }
}
