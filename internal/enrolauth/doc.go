// Package enrolauth proves who asks to enrol, for all device protocols: by enrolment
// secrets, which it keeps, by client certificates, by API tokens, and by several of
// them together.
//
// It knows no protocol: an adapter hands in what a client presented, with the word that
// a certificate's key is the client's. What a proof is good for is enroll's to say.
package enrolauth
