// Package issuance is the certification authority: it commits the intent, signs,
// records and releases. It decides nothing about content.
package issuance

// MaxGroup is the largest number of certificates in one intent.
const MaxGroup = 1000
