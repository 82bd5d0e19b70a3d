// Package scep serves the Simple Certificate Enrolment Protocol (RFC 8894) to devices:
// GetCACaps, GetCACert, and PKIOperation with PKCSReq, RenewalReq, CertPoll, GetCert and
// GetCRL.
//
// It turns messages into requests to the registration authority and answers back into
// messages. It decides nothing about who may enrol what, and it holds no key: those of
// its messages, which are neither an authority's nor a responder's, arrive as
// crypto.Signer and crypto.Decrypter.
//
// SCEP has no transport of its own that protects anything. What a message says is known
// to be its sender's once its signature verified, and who that is once its challenge, or
// the certificate that signed it, was proved.
package scep
