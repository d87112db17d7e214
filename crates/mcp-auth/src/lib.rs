//! Turns a bearer token into a principal: OAuth 2.0 resource-server verification.
