//! Stand-ins for the far ends: an OAuth issuer and the BrainGrid API. Development only.
