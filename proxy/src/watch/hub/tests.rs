//! What subscribers hear.

use super::*;
use crate::fleet::testing;
use crate::watch::conditions::Change;

fn change(raised: bool) -> Alert {
    Alert::of(&Change {
        condition: Condition::Lag,
        raised,
        figures: vec![("lag_ms", 7000)],
    })
}

fn object(heard: &Heard) -> serde_json::Value {
    serde_json::from_slice(&heard.event.payload).expect("JSON")
}

#[tokio::test]
async fn a_condition_is_told_to_everyone_who_listens_and_remembered() {
    let hub = Arc::new(Hub::new());
    let (master, _seat) = testing::master(4);
    hub.alert(&master, &change(true));
    let (mut one, mut other) = (hub.listen(), hub.listen());
    assert_eq!(hub.raised_of(4), [Condition::Lag]);
    hub.alert(&master, &change(false));
    assert_eq!(hub.raised_of(4), []);
    for listener in [&mut one, &mut other] {
        let heard = listener.next().await;
        assert_eq!(heard.event.channel, "ks.alert.lag");
        let told = object(&heard);
        assert_eq!(told["state"], "cleared");
        assert_eq!(told["master"], "10.0.0.1:6379");
        assert_eq!(told["figures"]["lag_ms"], 7000);
        assert!(listener.ready().is_none());
    }
}

#[test]
fn what_was_raised_of_a_master_that_is_gone_is_cleared() {
    let hub = Arc::new(Hub::new());
    let (master, _seat) = testing::master(4);
    hub.alert(&master, &change(true));
    let mut listener = hub.listen();
    hub.forget_all_but(&[master.id].into());
    assert!(listener.ready().is_none());
    hub.forget_all_but(&[].into());
    let heard = listener.ready().expect("an event");
    assert_eq!(object(&heard)["state"], "cleared");
    assert_eq!(hub.raised_of(4), []);
}

#[test]
fn a_slow_listener_hears_how_many_it_missed() {
    let hub = Arc::new(Hub::new());
    let (master, _seat) = testing::master(4);
    let mut listener = hub.listen();
    for _ in 0..EVENTS_MAX + 50 {
        hub.alert(&master, &change(true));
    }
    assert_eq!(listener.ready().map(|heard| heard.missed), Some(50));
    // It is said until it was said to the client.
    assert_eq!(listener.ready().map(|heard| heard.missed), Some(50));
    listener.told();
    assert_eq!(listener.ready().map(|heard| heard.missed), Some(0));
    assert_eq!(hub.told().missed, 50);
}
