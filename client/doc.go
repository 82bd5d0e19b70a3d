// Package client is the Go client of pando's REST API v1, and the one place
// where the API's wire types are declared: the server answers with the same
// structs.
//
// A Client has one method for each operation. A refusal by the server is a
// *Problem (RFC 9457), found with errors.As. Requests that can be repeated
// without harm, which are GET and those with an idempotency key, are sent again
// when the connection fails or the server answers 503; others never are.
//
// The package does no cryptography: keys and certificate signing requests are
// made by the caller, and what comes back is for the caller to verify.
package client
