//! The companion `counterfoil`.

fn main() {}
