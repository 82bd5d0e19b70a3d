// Package lotreport closes lots and says, signed, what became of each: how many
// devices were ordered, issued, refused and scrapped, in which batches. Anybody
// with the tenant's public key can check a report offline.
//
// It issues nothing and revokes nothing.
package lotreport

import (
	"encoding/json"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/strictjson"
)

// A Report is what became of a lot, at the moment when it was closed. Each device
// is in one of issued, refused and scrapped; of what was ordered, the rest is
// open.
type Report struct {
	Tenant      pki.TenantID `json:"tenant"`
	Lot         string       `json:"lot"`
	ProductLine string       `json:"product_line"`
	Site        string       `json:"site"`
	Created     time.Time    `json:"created"`
	Closed      time.Time    `json:"closed"`
	ClosedBy    string       `json:"closed_by"`

	Ordered  int64 `json:"ordered"` // 0 where no quantity was said
	Issued   int64 `json:"issued"`  // devices with a certificate, but for scrapped ones
	Refused  int64 `json:"refused"` // devices of refused rows that were not retried, and have no certificate of the lot
	Scrapped int64 `json:"scrapped"`
	Open     int64 `json:"open"` // ordered less the other three; below 0 where more was made; 0 where no quantity was said

	ScrappedIssued   int64 `json:"scrapped_issued"`   // of the scrapped: decommissioned devices with a certificate
	ScrappedReported int64 `json:"scrapped_reported"` // of the scrapped: those that the closer counted, which have none

	Certificates int64     `json:"certificates"`          // issued in the lot in all: a device may have several
	First        time.Time `json:"first_issued,omitzero"` // of them
	Last         time.Time `json:"last_issued,omitzero"`  // of them
	Digest       string    `json:"certificates_sha256"`   // over "DEVICE<tab>SERIAL<newline>" of each, sorted by octets
	Places       []Place   `json:"places"`                // the devices by product line and site
	Batches      []Batch   `json:"batches"`               // with rows in the lot
}

// A Place is how many devices of one product line and site there are.
type Place struct {
	ProductLine string `json:"product_line"`
	Site        string `json:"site"`
	Issued      int64  `json:"issued"`
	Refused     int64  `json:"refused"`
	Scrapped    int64  `json:"scrapped"`
}

// A Batch is one with certificates or refused rows in the lot. Its other rows are in
// other lots or, where it was cancelled, came to no end.
type Batch struct {
	ID        pki.BatchID `json:"id"`
	RetryOf   pki.BatchID `json:"retry_of,omitempty"`
	Digest    string      `json:"sha256"`            // of the uploaded file, or of a retry's rows
	State     string      `json:"state,omitempty"`   // as batch.State: done, cancelled, or another of a dry run, and where the batch is for another lot; "" in older reports
	DryRun    bool        `json:"dry_run,omitempty"` // it was checked first, and signed nothing unless it was issued then
	Rows      int64       `json:"rows"`              // in all
	Issued    int64       `json:"issued"`            // certificates in the lot
	Refused   int64       `json:"refused"`           // not those that a dry run alone refused
	Submitter string      `json:"submitted_by"`
	Created   time.Time   `json:"created"`
}

// Counts are the numbers of a lot, open or closed, counted as its report does.
type Counts struct {
	Issued   int64
	Refused  int64
	Scrapped int64
	Open     int64 // ordered less the other three; 0 where no quantity was said
	AtLeast  bool  // the lot has more than was looked at: there may be more of each but Open, and less of that
}

// Counts returns the numbers of a report.
func (r *Report) Counts() Counts {
	return Counts{Issued: r.Issued, Refused: r.Refused, Scrapped: r.Scrapped, Open: r.Open}
}

// Total sums up the places.
func (r *Report) Total() {
	for _, p := range r.Places {
		r.Issued, r.Refused, r.ScrappedIssued = r.Issued+p.Issued, r.Refused+p.Refused, r.ScrappedIssued+p.Scrapped
	}
	r.Scrapped = r.ScrappedIssued + r.ScrappedReported
	if r.Ordered > 0 {
		r.Open = r.Ordered - r.Issued - r.Refused - r.Scrapped
	}
}

// prefix begins the text of every report, so that a key for reports signs nothing
// else.
const prefix = "pando lot report 1\n"

// keyName is the name of a tenant's key for reports, as notes have it.
func keyName(tenant pki.TenantID) string { return string(tenant) + "/lot-report" }

// text is what is signed of a report.
func (r *Report) text() (string, error) {
	body, err := json.MarshalIndent(r, "", "  ")
	return prefix + string(body) + "\n", err
}

// Verify checks a signed report with the tenant's public key, as Key returns it.
// The sums must hold, too.
func Verify(signed []byte, key string) (*Report, error) {
	verifier, err := note.NewVerifier(strings.TrimSpace(key))
	if err != nil {
		return nil, pki.Because(pki.Malformed, err, "the key is not one of lot reports, NAME+HASH+KEY")
	}
	n, err := note.Open(signed, note.VerifierList(verifier))
	if err != nil {
		return nil, pki.Because(pki.BadProof, err, "the report is not signed by the key %s, or was changed after it was", verifier.Name())
	}
	r, err := read(n.Text)
	if err != nil {
		return nil, err
	}
	if verifier.Name() != keyName(r.Tenant) {
		return nil, pki.Errorf(pki.BadProof, "the report of tenant %s is signed by the key %s", r.Tenant, verifier.Name())
	}
	return r, r.check()
}

// read reads the text of a report.
func read(text string) (*Report, error) {
	body, ok := strings.CutPrefix(text, prefix)
	if !ok {
		return nil, pki.Errorf(pki.Malformed, "it is no lot report of a form that this program knows")
	}
	r := new(Report)
	if err := strictjson.Unmarshal([]byte(body), r); err != nil {
		return nil, pki.Because(pki.Malformed, err, "the report cannot be read")
	}
	return r, nil
}

// check sees that the numbers of a report agree.
func (r *Report) check() error {
	var sum Place
	for _, p := range r.Places {
		sum.Issued += p.Issued
		sum.Refused += p.Refused
		sum.Scrapped += p.Scrapped
	}
	open := r.Ordered - r.Issued - r.Refused - r.Scrapped
	if r.Ordered == 0 {
		open = 0
	}
	if r.Open != open || r.Scrapped != r.ScrappedIssued+r.ScrappedReported ||
		sum.Issued != r.Issued || sum.Refused != r.Refused || sum.Scrapped != r.ScrappedIssued {
		return pki.Errorf(pki.Malformed, "the numbers of the report do not agree with each other")
	}
	return nil
}
