// Package enroll is the registration authority: it checks that the requester may
// enrol at the endpoint, derives everything that goes into the certificate from
// the endpoint's profile and from registered data, and hands it to issuance.
//
// Every certificate goes through it, whatever protocol asked. It knows no
// protocol and touches no key.
//
// # Enrolments that wait
//
// Where the profile wants approval, [Service.Enroll] checks the whole request and then
// returns an error of kind pki.Pending, whose pki.Error says in RetryAfter when to ask
// again. A protocol that can say "later" says so (EST 202 with Retry-After, SCEP
// PENDING) and calls Enroll with the same request when it comes again: by the same
// principal, with the same bytes of the CSR. That is Pending still, is a refusal with
// its reason, or returns the certificate, Repeated, also where there is no idempotency
// key. Adapters keep nothing for this but what the client does not send again, as the
// CSR of a SCEP transaction that is polled.
package enroll
