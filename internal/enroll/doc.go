// Package enroll is the registration authority: it authorises, derives what goes
// into a certificate from the endpoint's profile, and hands it to issuance.
package enroll
