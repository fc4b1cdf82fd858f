//! FHIRPath over borrowed JSON values.
