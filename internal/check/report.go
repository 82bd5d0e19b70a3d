package check

import (
	"fmt"
	"time"
)

// MaxFindings is how many findings a Report holds; more are only counted.
const MaxFindings = 100

// An Invariant names a rule that holds in every sound store.
type Invariant string

// The invariants.
const (
	Stored         Invariant = "stored"
	Parses         Invariant = "parses"
	Columns        Invariant = "columns"
	Signature      Invariant = "signature"
	Linted         Invariant = "linted"
	Chain          Invariant = "chain"
	SerialUnique   Invariant = "serial-unique"
	RowUnique      Invariant = "row-unique"
	RequestsKept   Invariant = "requests-kept"
	Intended       Invariant = "intended"
	IntentComplete Invariant = "intent-complete"
	VoidSerial     Invariant = "void-serial"
	VoidRevoked    Invariant = "void-revoked"
	CRLSound       Invariant = "crl-sound"
	CRLComplete    Invariant = "crl-complete"
	CRLTrue        Invariant = "crl-true"
	Acknowledged   Invariant = "acknowledged"
	Logged         Invariant = "logged"
	LogComplete    Invariant = "log-complete"
	StatusOrder    Invariant = "status-order"
	Acted          Invariant = "acted"
	Archived       Invariant = "archived"
	QuotaExact     Invariant = "quota-exact"
)

// A Rule is an invariant with the sentence that it stands for.
type Rule struct {
	Invariant Invariant `json:"invariant"`
	Sentence  string    `json:"sentence"`
}

// Rules returns every invariant, in the order in which they are checked.
func Rules() []Rule {
	return []Rule{
		{Chain, "Each issuer's certificate chains to a root of its own mode, its record says what the certificate says, and a root that follows another fits it by its links."},
		{Stored, "Each certificate's bytes have the hash that was stored with them."},
		{Parses, "Each certificate is read by pando's strict parser and by Go's, to the same content."},
		{Columns, "Each certificate's record has the serial number, validity, issuer and tenant that its bytes have, and an owner, a profile and a batch that are in the store."},
		{Signature, "Each certificate's signature verifies under its issuer's key."},
		{Linted, "Each certificate that was linted again is one that its profile version can make: its validity, and the types, forms and order of what varies; with a key that is not weak, and zlint has no error against it."},
		{Intended, "Each certificate was intended: its intent is closed, and the digest committed before signing is that of its certificates."},
		{IntentComplete, "A closed intent has a certificate or a void for each of its places."},
		{VoidRevoked, "Each serial number given up as void is revoked."},
		{SerialUnique, "No issuer has used a serial number twice."},
		{VoidSerial, "No certificate carries a serial number that was given up as void."},
		{Acknowledged, "Each certificate that a client was told it got is in the store, byte for byte."},
		{RowUnique, "A row of a batch has one certificate at most."},
		{RequestsKept, "What is kept of the requests of a batch whose rows were dropped has the hash that was stored with it, and the batch is in the store."},
		{CRLSound, "Each shard's latest CRL, and its latest delta, is signed by its issuer, and its record says what its bytes say; a delta has a number above that of the full CRL that it is to."},
		{CRLComplete, "Each revocation that a CRL covers is in it, or in it with the delta to it."},
		{CRLTrue, "Each entry of a CRL is a revocation in the store, with its time and reason."},
		{Logged, "Each entry of a log is what the store says of it, and the entries give the tree that was sequenced and signed."},
		{LogComplete, "Each certificate, each entry about a certificate's status and each event is in its log, or waits for its place in it."},
		{StatusOrder, "The entries about a certificate's status are numbered from 1 without a gap and in the shard of its serial number; none follows a final revocation, and a release follows a hold."},
		{Acted, "What events did for good is so: a lot that was closed is closed and has the report that was made, a device that was decommissioned is, and a version of a profile is the document that was published."},
		{Archived, "Each archive's object is the one that the log says was written, and has every certificate that is out of the store for it, as the store remembers it."},
		{QuotaExact, "What is used of each quota is what the store holds of it: certificates, and what open intents are for."},
	}
}

// A Finding is one place where an invariant does not hold.
type Finding struct {
	Invariant Invariant `json:"invariant"`
	Subject   string    `json:"subject"` // as "certificate ISSUER/SERIAL", "intent ID", "crl ISSUER/SHARD"
	Detail    string    `json:"detail"`
}

// String returns the finding on one line.
func (f Finding) String() string {
	return fmt.Sprintf("%s: %s: %s", f.Invariant, f.Subject, f.Detail)
}

// A Report is what was read and what was found.
type Report struct {
	Started       time.Time `json:"started"`
	Seconds       float64   `json:"seconds"`
	Issuers       int64     `json:"issuers"`
	Certificates  int64     `json:"certificates"`
	Relinted      int64     `json:"relinted"` // certificates that were linted again
	Archives      int64     `json:"archives"`
	Archived      int64     `json:"archived"`     // certificates that are in archives and not in the store
	Unread        int64     `json:"unread"`       // likewise, in archives that could not be read
	Intents       int64     `json:"intents"`      // of any state
	OpenIntents   int64     `json:"open_intents"` // committed and not yet recorded or void: work for the next start
	Voids         int64     `json:"voids"`
	CRLs          int64     `json:"crls"`
	CRLEntries    int64     `json:"crl_entries"`
	ShardsDue     int64     `json:"shards_due"` // shards with revocations that neither a full CRL nor a delta covers yet
	Quotas        int64     `json:"quotas"`
	Acknowledged  int64     `json:"acknowledged"`
	Logs          int64     `json:"logs"`
	LogEntries    int64     `json:"log_entries"`
	StatusEntries int64     `json:"status_entries"` // revocations, holds and releases
	Events        int64     `json:"events"`
	Total         int64     `json:"total_findings"`
	Findings      []Finding `json:"findings"` // the first MaxFindings
}

// OK reports whether every invariant holds.
func (r *Report) OK() bool { return r.Total == 0 }

// full reports whether a further finding is only counted.
func (r *Report) full() bool { return len(r.Findings) >= MaxFindings }

// add counts a finding, and keeps it while there is room.
func (r *Report) add(f Finding) {
	r.Total++
	if !r.full() {
		r.Findings = append(r.Findings, f)
	}
}

// addf makes a finding and adds it.
func (r *Report) addf(i Invariant, subject, format string, args ...any) {
	r.add(Finding{i, subject, fmt.Sprintf(format, args...)})
}
