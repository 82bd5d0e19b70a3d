// Package issuance is the certification authority. It is handed what the
// registration authority decided, and for each certificate it commits the
// intent, signs, records and releases, in this order and no other: every
// signature by a CA key is over bytes that the store had before.
//
// It decides nothing about content, knows no protocol and authorises nobody;
// enroll is the only way to it.
package issuance
