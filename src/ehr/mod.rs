//! One hospital's EHR: discovery, keys, tokens, the FHIR client and its budgets.
