use crate::support::sentinel::Watched;
use std::time::Instant;
#[test]
fn probe() {
    let t = Instant::now();
    let w = Watched::start();
    println!("start {:?}", t.elapsed());
    let t = Instant::now();
    w.fail_over();
    println!("failover {:?}", t.elapsed());
    let t = Instant::now();
    w.wait_until_whole();
    println!("whole {:?}", t.elapsed());
    let t = Instant::now();
    let old = w.master();
    old.kill();
    w.wait_for_successor_of(old);
    println!("kill {:?}", t.elapsed());
    let t = Instant::now();
    w.bring_back(old);
    println!("whole {:?}", t.elapsed());
}
