package bench

// A Goal is what pando holds itself to: a ratio to something that is measured in
// the same run.
type Goal struct {
	Row    int
	What   string
	Unit   string
	Must   float64
	Aim    float64
	Higher bool // the more the better
	Absent bool // the part that it measures is not built
	Size   int  // of what the row is about; measured with less, it says so
}

// The units.
const (
	ofLimit   = "× Limit"
	ofHandler = "× Handler"
	ofCores   = "× all cores at Limit"
)

// Goals are the rows of the table, in order; a row may have several figures.
//
// Limit is the CPU of "CSR in (parsed, signature checked), certificate out
// (precomputed parts, signed)" with P-256 and Go's own library, Handler that of a
// bare net/http handler which answers 500 bytes over keep-alive HTTP to 32 clients
// in another process. The CPU of a row is user plus system of the server process
// alone.
var Goals = []Goal{
	{Row: 1, What: issueREST, Unit: ofLimit, Must: 3, Aim: 2.2},
	{Row: 1, What: issueEST, Unit: ofLimit, Must: 3, Aim: 2.2},
	{Row: 2, What: batchPlain, Unit: ofCores, Must: 0.7, Aim: 0.9, Higher: true, Size: batchRows},
	{Row: 2, What: batchChecked, Unit: ofCores, Must: 0.5, Aim: 0.65, Higher: true, Size: batchRows},
	{Row: 3, What: "a whole ACME order, CPU", Unit: ofLimit, Must: 16, Aim: 10, Absent: true},
	{Row: 4, What: ocspGET, Unit: ofHandler, Must: 3, Aim: 2},
	{Row: 4, What: ocspPOST, Unit: ofHandler, Must: 3, Aim: 2},
	{Row: 5, What: ocspSigned, Unit: ofLimit, Must: 0.8, Aim: 0.6},
	{Row: 5, What: ocspSignedMany, Unit: ofLimit, Must: 0.8, Aim: 0.6},
	{Row: 6, What: crlTime, Unit: "× as fast", Must: 5, Aim: 20, Higher: true, Size: crlEntries},
	{Row: 6, What: crlMemory, Unit: "MiB", Must: 64, Aim: 16, Size: crlEntries},
	{Row: 6, What: crlHour, Unit: "× as fast", Must: 5, Aim: 20, Higher: true, Size: crlEntries},
	{Row: 6, What: crlHourMemory, Unit: "MiB", Must: 64, Aim: 16, Size: crlEntries},
	{Row: 6, What: crlWhole, Unit: "× as fast", Must: 5, Aim: 20, Higher: true, Size: crlEntries},
	{Row: 6, What: crlWholeMemory, Unit: "MiB", Must: 64, Aim: 16, Size: crlEntries},
	{Row: 7, What: revokeOne, Unit: ofLimit, Must: 1.4, Aim: 0.8},
	{Row: 8, What: revokeLot, Unit: "× faster", Must: 3, Aim: 10, Higher: true, Size: lotSize},
	{Row: 9, What: memoryFew, Unit: "MiB", Must: 160, Aim: 90},
	{Row: 9, What: memoryFull, Unit: "MiB", Must: 160, Aim: 90, Size: fullCertificates / 2},
	{Row: 10, What: "issue with a SoftHSM key against a software key, rate", Unit: "× software", Must: 0.7, Aim: 0.85, Higher: true, Absent: true},
	{Row: 11, What: restRate, Unit: ofCores, Must: 0.13, Aim: 0.26, Higher: true},
	{Row: 12, What: insertUnchecked, Unit: "× with few", Must: 0.7, Aim: 0.9, Higher: true, Size: fullCertificates},
	{Row: 12, What: lookUpUnchecked, Unit: "× with few", Must: 2, Aim: 1.2, Size: fullCertificates},
	{Row: 12, What: insertChecked, Unit: "× with few", Must: 0.7, Aim: 0.9, Higher: true, Size: fullCertificates},
	{Row: 12, What: lookUpChecked, Unit: "× with few", Must: 2, Aim: 1.2, Size: fullCertificates},
	{Row: 13, What: startWith, Unit: "× with none", Must: 3, Aim: 1.2, Size: fullCertificates},
	{Row: 14, What: postQuantum, Unit: "× the bare signature", Must: 1.3, Aim: 1.1},
	{Row: 15, What: besideBatch, Unit: "× without it", Must: 3, Aim: 2},
}

// The figures by name.
const (
	issueREST      = "issue one certificate over REST, HTTPS, 32 clients, with an idempotency key, CPU"
	issueEST       = "the same over EST, by bearer token, CPU"
	batchPlain     = "a batch from the first request sent to the last certificate received, certificates a second"
	batchChecked   = "the same under an authority that verifies after it signs"
	ocspGET        = "OCSP from cache, GET, CPU"
	ocspPOST       = "OCSP from cache, POST, CPU"
	ocspSignedMany = "the same, each about another certificate than those before"
	ocspSigned     = "OCSP signed on demand (with a nonce), about 200 certificates in turn, CPU"
	revokeOne      = "revoke one over REST, synced, CPU, with the CRLs that follow"
	crlTime        = "full CRL of many entries from the store, 1,000 of them new, CPU, against x509.CreateRevocationList alone"
	crlMemory      = "the same, memory beside what the process had"
	crlHour        = "the CRL an hour later, one entry of it new and a 24th made anew of the entries' rows by turns, CPU"
	crlHourMemory  = "the same, an hour later, memory"
	crlWhole       = "the same CRL made of nothing but the entries' rows, as the first one and by 'pando crl publish', CPU"
	crlWholeMemory = "the same, of nothing but the rows, memory"
	revokeLot      = "revoke a lot, from the order until CRLs and OCSP show it, against issuing it by batch, time"
	memoryFew      = "memory of a server after a batch, few certificates in its store"
	memoryFull     = "the same, many in its store"
	startWith      = "start with many certificates in the store, until ready"
	postQuantum    = "issue under an authority with ML-DSA-65 over REST, CPU above the same under P-256"
	besideBatch    = "single issue while a batch runs, p99"
	restRate       = "certificates a second over REST, clients on the same cores"
)

// Of a store with many certificates against one with few.
const (
	insertUnchecked = "insert rate with many certificates in the store, without the key-reuse check"
	lookUpUnchecked = "time of a look-up, without the key-reuse check"
	insertChecked   = "insert rate with many certificates in the store, with the key-reuse check"
	lookUpChecked   = "time of a look-up, with the key-reuse check"
)

// met says which of its marks a figure reaches: "aim", "must" or "no".
func (g *Goal) met(v float64) string {
	reaches := func(mark float64) bool { return v <= mark }
	if g.Higher {
		reaches = func(mark float64) bool { return v >= mark }
	}
	switch {
	case reaches(g.Aim):
		return "aim"
	case reaches(g.Must):
		return "must"
	default:
		return "no"
	}
}
