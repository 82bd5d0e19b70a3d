package policy

// ResponderProfile is the name of the profile that each tenant publishes for the
// OCSP responders of its authorities.
const ResponderProfile = "ocsp-responder"

// SCEPSignerProfile and SCEPRecipientProfile are the names of the profiles that a tenant
// publishes for the keys by which the server signs, and opens, messages of SCEP at the
// endpoints of its authorities.
const (
	SCEPSignerProfile    = "scep-signer"
	SCEPRecipientProfile = "scep-recipient"
)
