package client

import (
	"fmt"
	"strings"
	"time"
)

// A Problem is how the server says no: RFC 9457 problem details. Methods of
// Client return it as *Problem, to be found with errors.As.
type Problem struct {
	Type   string `json:"type" doc:"urn:pando:error: and the kind." example:"urn:pando:error:duplicate-key"`
	Title  string `json:"title" doc:"What the kind means, in a few words."`
	Status int    `json:"status" doc:"The HTTP status code."`
	Detail string `json:"detail,omitempty" doc:"What was wrong this time."`
	Kind   string `json:"kind" enum:"internal,malformed,bad-proof,bad-key,policy-refused,forbidden,quota-exceeded,unauthenticated,not-found,already-revoked,duplicate-key,conflict,not-ready,rate-limited,unavailable" doc:"The kind of problem, for programs."`
	// Permission and Scope say of a refusal which permission was missing, or does not go so
	// far, and where.
	Permission string `json:"permission,omitempty" doc:"Of forbidden: the permission that was missing, or that does not go as far as this." example:"certificates.revoke"`
	Scope      string `json:"scope,omitempty" doc:"Where it was missing; tenant is all of it." example:"product-line:pro"`
	// Why says of other refusals what they are about.
	Why    string       `json:"why,omitempty" enum:"tenant-suspended,loan-ended,permissions-changed,lender-holds" doc:"Of forbidden, where no permission was missing: what stands against it, for programs." example:"loan-ended"`
	Errors []FieldError `json:"errors,omitempty" doc:"Where in the request it was, if more than the detail says."`

	// RequestID is what the server's log calls the request; from a header.
	RequestID string `json:"-"`
	// RetryAfter is when to come again; 0 is unsaid. From a header.
	RetryAfter time.Duration `json:"-"`
}

// A FieldError is one thing that is wrong with a request.
type FieldError struct {
	Location string `json:"location,omitempty" doc:"Where in the request." example:"body.csr"`
	Message  string `json:"message" doc:"What is wrong there."`
}

// Error returns the detail, and what is wrong with each field.
func (p *Problem) Error() string {
	var b strings.Builder
	b.WriteString(p.Detail)
	if p.Detail == "" {
		fmt.Fprintf(&b, "the server answered %d %s", p.Status, p.Title)
	}
	for _, e := range p.Errors {
		fmt.Fprintf(&b, "; %s: %s", e.Location, e.Message)
	}
	return b.String()
}
