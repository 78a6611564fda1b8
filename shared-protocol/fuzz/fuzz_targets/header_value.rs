#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| footbridge_protocol::fuzz_targets::header_value(bytes));
