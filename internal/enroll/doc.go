// Package enroll is the registration authority: it checks that the requester may
// enrol at the endpoint, derives everything that goes into the certificate from
// the endpoint's profile and from registered data, and hands it to issuance.
//
// Every certificate goes through it, whatever protocol asked. It knows no
// protocol and touches no key.
package enroll
