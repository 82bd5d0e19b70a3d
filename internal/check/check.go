package check

import (
	"context"
	"io"
	"time"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/retention"
)

// page is how many rows are read at once.
const page = 1000

// Config says what to check.
type Config struct {
	Store Store
	Now   pki.Clock // says which revocations still matter; nil is time.Now

	// Acknowledged lists what clients were told they got, as lines of JSON:
	// {"issuer": "...", "serial": "hex", "sha256": "hex of the certificate's DER"}.
	// Nil checks no such list.
	Acknowledged io.Reader

	// Archives is the place of the archives. Nil is not known: then that is a finding
	// where there are any.
	Archives retention.Objects

	// Relint says which certificates are linted again; nil is none.
	Relint *Relint

	// OnProgress is called after each page, from one goroutine at a time; nil is
	// nobody.
	OnProgress func(Progress)
}

// Progress is how far a check has come.
type Progress struct {
	Part string // what is being read: "issuers", "certificates", "archives", "relinted", "intents", "crls", "acknowledged", "requests of batches", "log entries", "status entries", "events"
	Done int64  // of that part
}

// Run checks every invariant of Rules and reports what does not hold. An error
// means that the check could not be completed: a store or a list that cannot be
// read, or ctx at its end. Findings are not errors.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	started := cfg.Now()
	c := &checker{
		store:   cfg.Store,
		now:     started,
		told:    cfg.OnProgress,
		report:  &Report{Started: started.UTC(), Findings: []Finding{}},
		issuers: make(map[pki.IssuerID]*issuer),
		batches: make(map[pki.BatchID]uint32),

		archives:  cfg.Archives,
		logs:      make(map[pki.TenantID]uint32),
		manifests: make(map[retention.ID]retention.Manifest),
		leaves:    newSpill(archivedLeafSize),

		places:  newSpill(placeSize),
		serials: newSpill(serialSize),
		rows:    newSpill(rowSize),
		acts:    newSpill(actSize),
		entries: newSpill(statusEntrySize),
	}
	defer c.places.close()
	defer c.serials.close()
	defer c.rows.close()
	defer c.leaves.close()
	defer c.acts.close()
	defer c.entries.close()

	parts := []func(context.Context) error{c.checkIssuers, c.checkCertificates, c.checkArchives}
	if cfg.Relint != nil {
		c.relint = newRelinter(cfg.Relint, cfg.Store, c.issuers)
		parts = append(parts, c.relintSample)
	}
	parts = append(parts, c.checkIntents)
	if cfg.Acknowledged != nil {
		parts = append(parts, func(ctx context.Context) error { return c.readAcknowledged(ctx, cfg.Acknowledged) })
	}
	parts = append(parts, c.checkSerials, c.checkRows, c.checkRequests, c.checkCRLs, c.checkQuotas, c.checkLogs, c.checkActs)
	for _, part := range parts {
		if err := part(ctx); err != nil {
			return nil, err
		}
	}
	c.report.Seconds = cfg.Now().Sub(started).Round(time.Millisecond).Seconds()
	return c.report, nil
}

// A checker is one run. Its fields are owned by the goroutine of Run; the workers
// that verify certificates only read the issuers.
type checker struct {
	store  Store
	now    time.Time
	told   func(Progress)
	report *Report

	issuers map[pki.IssuerID]*issuer
	order   []*issuer // by number

	batches    map[pki.BatchID]uint32
	batchNames []pki.BatchID // by number

	relint *relinter // nil where nothing is linted again

	archives  retention.Objects
	unread    unread
	logs      map[pki.TenantID]uint32             // numbers, in the order of the logs; tenants without one follow
	manifests map[retention.ID]retention.Manifest // of archives of which no log has been seen to say
	leaves    *spill                              // of each archived certificate: see archivedLeaf

	places  *spill // of each certificate: see place
	serials *spill // of each certificate, void and acknowledgement: see serialUse
	rows    *spill // of each certificate of a batch: see row
	acts    *spill // of each event and entry about status, and of each leaf of one: see act
	entries *spill // of each entry about status: see statusEntry
}

// tell reports progress.
func (c *checker) tell(part string, done int64) {
	if c.told != nil {
		c.told(Progress{part, done})
	}
}
