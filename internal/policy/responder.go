package policy

// ResponderProfile is the name of the profile that each tenant publishes for the
// OCSP responders of its authorities.
const ResponderProfile = "ocsp-responder"
