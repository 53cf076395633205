//! What tenants that take as much as they can leave to others.

use super::*;

fn owner(id: &str) -> Owner {
    let id = TenantId::parse(id);
    assert!(id.is_some());
    id
}

/// A request with each of two keys of so many tenants.
fn requests(budgets: &Budgets, tenants: usize) -> Vec<Held> {
    let ids = (0..tenants).flat_map(|n| [(n, "a"), (n, "b")]);
    let request = |(n, key): (usize, &str)| {
        let tenant = owner(&format!("client-attacker-{n:06}"));
        budgets.enter_as(tenant, &format!("{n}-{key}")).unwrap()
    };
    ids.map(request).collect()
}

fn victim(budgets: &Budgets) -> Held {
    let tenant = owner("client-victim-000000");
    budgets.enter_as(tenant, "victim").unwrap()
}

#[test]
fn bodies_of_many_tenants_leave_room_for_others_and_the_operator() {
    let budgets = Budgets::new(32 << 20, 1);
    let attack = requests(&budgets, 8);
    for one in &attack {
        while one.grow_body(64 << 10).is_ok() {}
    }
    victim(&budgets).grow_body(4 << 20).unwrap();
    let refused = victim(&budgets).grow_body(32 << 20);
    assert!(refused.is_err(), "nothing large is left");
    let operator = budgets.enter_as(None, "operator").unwrap();
    operator.grow_body(64 << 20).unwrap();
    drop(attack);
    victim(&budgets).grow_body(32 << 20).unwrap();
}

#[test]
fn the_more_tenants_take_all_they_can_the_less_is_left_for_each() {
    for (tenants, left) in [(8, 4 << 20), (30, 1 << 20), (300, 64 << 10)] {
        let budgets = Budgets::new(32 << 20, 1);
        let attack = requests(&budgets, tenants);
        for one in &attack {
            while one.grow_body(32 << 10).is_ok() {}
        }
        let victim = victim(&budgets);
        assert!(victim.grow_body(left).is_ok(), "{tenants}: {left}");
    }
}

#[test]
fn a_small_limit_of_bodies_leaves_room_too() {
    let budgets = Budgets::new(1 << 20, 1);
    let attack = requests(&budgets, 50);
    for one in &attack {
        while one.grow_body(32 << 10).is_ok() {}
    }
    victim(&budgets).grow_body(64 << 10).unwrap();
}

#[test]
fn requests_of_many_tenants_leave_some_to_others_and_the_operator() {
    let budgets = Budgets::new(32 << 20, 1);
    let mut attack = Vec::new();
    for n in 0..100 {
        let tenant = owner(&format!("client-attacker-{n:06}"));
        while let Ok(one) = budgets.enter_as(tenant.clone(), "key") {
            attack.push(one);
        }
    }
    assert!(attack.len() > REQUESTS / 2, "{}", attack.len());
    let _own = [(); 4].map(|()| victim(&budgets));
    budgets.enter_as(None, "operator").unwrap();
}

#[test]
fn streams_and_answers_of_many_tenants_leave_some_to_others() {
    let budgets = Budgets::new(32 << 20, 1);
    let mut streams = Vec::new();
    for n in 0..100 {
        let tenant = owner(&format!("client-attacker-{n:06}"));
        loop {
            let one = budgets.enter_as(tenant.clone(), "key").unwrap();
            if one.become_stream().is_err() {
                break;
            }
            streams.push(one);
        }
    }
    assert!(streams.len() >= STREAMS / 2, "{}", streams.len());
    victim(&budgets).become_stream().unwrap();
    let answers = requests(&budgets, 10);
    for one in &answers {
        while one.grow_answer(64 << 10).is_ok() {}
    }
    victim(&budgets).grow_answer(6 << 20).unwrap();
    let operator = budgets.enter_as(None, "operator").unwrap();
    operator.grow_answer(8 << 20).unwrap();
}
