//! Nothing to use: see `benches/pure.rs` for the micro benchmarks (`cargo bench -p crossfade-benches`), and
//! `side-by-side` for how the proxy is put beside others.
