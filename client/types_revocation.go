package client

import "time"

// A RevocationSelection names certificates by exactly one of its fields.
type RevocationSelection struct {
	Device      string `json:"device,omitempty" maxLength:"128" doc:"A device of the tenant." example:"SM-000007"`
	Lot         string `json:"lot,omitempty" maxLength:"128" doc:"A lot of the tenant, as certificates had it when they were issued."`
	ProductLine string `json:"product_line,omitempty" maxLength:"128" doc:"A product line of the tenant, as certificates had it when they were issued."`
	Batch       string `json:"batch,omitempty" maxLength:"128" doc:"Id of a batch of the tenant."`
	Issuer      string `json:"issuer,omitempty" maxLength:"128" doc:"Id of an issuer: what it issued of the tenant's, or for the tenant."`
}

// NewRevocationJob is what is asked for when certificates are revoked, held or
// released as a job.
type NewRevocationJob struct {
	RevocationSelection
	Reason  string `json:"reason,omitempty" doc:"As for one certificate; certificateHold holds them." example:"cessationOfOperation"`
	Release bool   `json:"release,omitzero" doc:"Instead of a reason: release those that are on hold."`
	DryRun  bool   `json:"dry_run,omitzero" doc:"Count what would be done, change nothing, and wait to be run."`
}

// A RevocationJob revokes, holds or releases many certificates: those that were
// issued before it was created and have not expired.
type RevocationJob struct {
	ID string `json:"id"`
	RevocationSelection
	Reason   string    `json:"reason,omitempty" doc:"Why; absent where it releases."`
	Release  bool      `json:"release,omitzero" doc:"It releases those that are on hold."`
	DryRun   bool      `json:"dry_run" doc:"It stops after counting until it is told to run."`
	State    string    `json:"state" doc:"counting, counted, running, paused, cancelled or done."`
	By       string    `json:"by" doc:"Who created it."`
	Created  time.Time `json:"created"`
	Started  time.Time `json:"started,omitzero" doc:"When it first ran."`
	Finished time.Time `json:"finished,omitzero" doc:"When it was done or cancelled."`
	Total    int64     `json:"total,omitzero" doc:"How many certificates are selected; absent while that is not known: of an issuer only a dry run finds out."`
	RevocationCounts
	Rate float64 `json:"rate,omitzero" doc:"Certificates per second of late; in events only."`
}

// RevocationCounts are of the certificates that a job has looked at so far, by the
// state in which it found them.
type RevocationCounts struct {
	Good      int64 `json:"good"`
	Held      int64 `json:"held" doc:"On hold. A hold leaves them, another reason revokes them for good."`
	Suspended int64 `json:"suspended" doc:"On hold, and left by a release, since their devices are suspended (resume the devices) or the tenant whose authority issued them holds them (it releases them). Counted as held by jobs that do not release."`
	Revoked   int64 `json:"revoked" doc:"Revoked for good before. They are left."`
	Expired   int64 `json:"expired" doc:"Expired and not revoked. They are left."`
	ToChange  int64 `json:"to_change" doc:"Those that the job would revoke, hold or release, as its dry run counted them; 0 once it runs."`
	Changed   int64 `json:"changed" doc:"Those that the job revoked, held or released; 0 before it runs."`
}

// A RevocationCount is the counts of one CRL shard.
type RevocationCount struct {
	Issuer string `json:"issuer"`
	Shard  int    `json:"shard"`
	RevocationCounts
}

// The states of a revocation job besides those that a batch has, too: running,
// paused, cancelled and done. One that is counted waits to be run.
const (
	Counting = "counting"
	Counted  = "counted"
)
