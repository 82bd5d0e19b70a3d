package client

import "time"

// An Enrollment asks for one certificate.
type Enrollment struct {
	Endpoint    string            `json:"endpoint" doc:"Label, or name within the tenant." example:"demo.meter"`
	CSR         string            `json:"csr" maxLength:"98304" doc:"The PKCS#10 request, in PEM or as DER in base64; 64 KiB of DER at most."`
	Device      string            `json:"device,omitempty" maxLength:"128" doc:"Default: the subject's serialNumber, else its CN." example:"SM-000001"`
	ProductLine string            `json:"product_line,omitempty" maxLength:"128"`
	Lot         string            `json:"lot,omitempty" maxLength:"128"`
	Site        string            `json:"site,omitempty" maxLength:"128"`
	Attributes  map[string]string `json:"attributes,omitempty" maxProperties:"32" doc:"What the endpoint's profile asks for besides."`
	Pair        *EnrollmentPair   `json:"pair,omitempty" doc:"The second certificate of a pair, which is issued with the first or not at all. The endpoints' profiles must name each other."`
}

// An EnrollmentPair asks for the second certificate of a pair: for the same device,
// with another key.
type EnrollmentPair struct {
	Endpoint string `json:"endpoint" doc:"Of the same authority." example:"demo.gb-key-agreement"`
	CSR      string `json:"csr" maxLength:"98304" doc:"As in the enrolment."`
}

// An Enrolled is the answer to an Enrollment.
type Enrolled struct {
	Issuer      string     `json:"issuer" doc:"Id of the issuer."`
	Serial      string     `json:"serial" doc:"Serial number in hexadecimal."`
	Device      string     `json:"device,omitempty"`
	Profile     ProfileRef `json:"profile"`
	NotBefore   time.Time  `json:"not_before"`
	NotAfter    time.Time  `json:"not_after"`
	Certificate string     `json:"certificate" doc:"PEM."`
	Chain       []string   `json:"chain" doc:"PEM of the issuer's certificate and those above it, without the root."`
	Repeated    bool       `json:"repeated" doc:"This answers an earlier request with the same idempotency key."`

	Pair *EnrolledPair `json:"pair,omitempty" doc:"The second certificate, where a pair was asked for. Its issuer and chain are those of the first."`
}

// An EnrolledPair is the second certificate of a pair.
type EnrolledPair struct {
	Serial      string     `json:"serial" doc:"Serial number in hexadecimal."`
	Profile     ProfileRef `json:"profile"`
	NotBefore   time.Time  `json:"not_before"`
	NotAfter    time.Time  `json:"not_after"`
	Certificate string     `json:"certificate" doc:"PEM."`
}

// A Certificate is one issued certificate.
type Certificate struct {
	Issuer      string     `json:"issuer" doc:"Id of the issuer."`
	Serial      string     `json:"serial" doc:"Serial number in hexadecimal."`
	Device      string     `json:"device,omitempty"`
	Owner       string     `json:"owner" doc:"The tenant whose it is: the one that asks, or a child that it issued the certificate for."`
	ProductLine string     `json:"product_line,omitempty" doc:"Of the device when it was issued; likewise lot and site."`
	Lot         string     `json:"lot,omitempty"`
	Site        string     `json:"site,omitempty"`
	Profile     ProfileRef `json:"profile"`
	Batch       string     `json:"batch,omitempty" doc:"The batch it came from."`
	Row         int64      `json:"row,omitzero" doc:"Its row of the batch, from 1."`
	NotBefore   time.Time  `json:"not_before"`
	NotAfter    time.Time  `json:"not_after"`
	Issued      time.Time  `json:"issued"`
	Fingerprint string     `json:"fingerprint" doc:"SHA-256 of the certificate, in hexadecimal."`
	Certificate string     `json:"certificate" doc:"PEM."`
	Status      *Status    `json:"status,omitempty" doc:"Whether it is revoked, or has expired, now."`
	Cursor      string     `json:"cursor,omitempty" doc:"In listings: goes on after this one."`
}

// The states of a certificate.
const (
	Good    = "good"
	Held    = "held"
	Revoked = "revoked"
	Expired = "expired" // and neither held nor revoked
)

// A Status says whether a certificate is revoked, or has expired, now.
type Status struct {
	State  string    `json:"state" doc:"Of now: good, held, revoked, or expired for what would be good otherwise. One that is held may be released."`
	Reason string    `json:"reason,omitempty" doc:"Why it was revoked, as RFC 5280, 5.3.1 names it; certificateHold while it is held." example:"keyCompromise"`
	At     time.Time `json:"at,omitzero" doc:"When it was revoked, or held."`
}

// A Revocation asks to revoke a certificate, or to hold it.
type Revocation struct {
	Reason string `json:"reason" doc:"unspecified, keyCompromise, cACompromise, affiliationChanged, superseded, cessationOfOperation, privilegeWithdrawn or aACompromise (RFC 5280, 5.3.1), which are final; certificateHold, which can be released or made final." example:"keyCompromise"`
}
