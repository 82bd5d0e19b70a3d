package client

import "time"

// A Batch is a manufacturing job.
type Batch struct {
	ID        string     `json:"id"`
	Endpoint  string     `json:"endpoint" doc:"Name of the endpoint."`
	Authority string     `json:"authority" doc:"Id of the authority that issues."`
	Profile   ProfileRef `json:"profile" doc:"Pinned when the batch was created."`

	PairEndpoint string      `json:"pair_endpoint,omitempty" doc:"Of a batch of pairs: name of the endpoint of the second certificate of each device. A device has two rows, 2i-1 and 2i, and both are issued or neither."`
	PairProfile  *ProfileRef `json:"pair_profile,omitempty" doc:"The profile there, pinned likewise."`

	ProductLine string    `json:"product_line,omitempty" doc:"Of rows that say nothing."`
	Lot         string    `json:"lot,omitempty" doc:"Of rows that say nothing."`
	Site        string    `json:"site,omitempty" doc:"Of rows that say nothing."`
	DryRun      bool      `json:"dry_run" doc:"It stops after checking until it is told to issue."`
	State       string    `json:"state" doc:"uploading, checking, checked, waiting, running, paused, cancelled or done."`
	Digest      string    `json:"digest,omitempty" doc:"SHA-256 of the uploaded file, in hexadecimal; absent while uploading."`
	By          string    `json:"by" doc:"Who submitted it."`
	RetryOf     string    `json:"retry_of,omitempty" doc:"The batch whose refused rows these are."`
	RetryKinds  string    `json:"retry_kinds,omitempty" doc:"The kinds of refusal that were asked for, separated by commas; absent is all."`
	Created     time.Time `json:"created"`
	Started     time.Time `json:"started,omitzero" doc:"When it first ran."`
	Finished    time.Time `json:"finished,omitzero" doc:"When it was done or cancelled."`
	StoppedBy   string    `json:"stopped_by,omitempty" doc:"Who paused or cancelled it, where it is so." example:"system:batch"`
	Why         string    `json:"why,omitempty" doc:"Why it was paused or cancelled, where nobody's order was the reason; while waiting, for whom."`
	Needs       string    `json:"needs,omitempty" doc:"Whose approval it needed when it was made, before anything is issued; absent is nobody's. Its endpoint may want others when it is to be issued: those are what why says." example:"2 of role security-officer within 7d"`
	Change      string    `json:"change,omitempty" doc:"The change by which it waits for approval, or was approved."`

	Rows      int64   `json:"rows" doc:"How many rows it has; 0 while uploading."`
	Checked   int64   `json:"checked" doc:"Rows that a dry run looked at."`
	Issued    int64   `json:"issued"`
	Refused   int64   `json:"refused" doc:"While checking or checked: rows that would be refused."`
	Cancelled int64   `json:"cancelled"`
	Rate      float64 `json:"rate,omitzero" doc:"Rows per second of late; in events only."`
}

// The states of a batch. A batch begins uploading; with its last row it is
// checking (a dry run) or running; one that is checked waits to be issued; one whose profile wants approval is waiting
// before it runs.
const (
	Uploading  = "uploading"
	Checking   = "checking"
	Checked    = "checked"
	Running    = "running"
	Unapproved = "waiting" // for approval
	Paused     = "paused"
	Cancelled  = "cancelled"
	Done       = "done"
)

// A Retry says which refused rows are tried again.
type Retry struct {
	Kinds []string `json:"kinds,omitempty" maxItems:"32" doc:"Kinds of refusal, as results name them; none is all."`
}

// A Result is the end of one row of a batch.
type Result struct {
	Row         int64  `json:"row" doc:"From 1, in input order."`
	OriginRow   int64  `json:"origin_row,omitzero" doc:"Of a retry: the row in the file that was uploaded at first."`
	PairRow     int64  `json:"pair_row,omitzero" doc:"Of a batch of pairs: the row of the other certificate of the device."`
	Device      string `json:"device,omitempty"`
	Status      string `json:"status" enum:"issued,archived,refused,cancelled" doc:"archived: it was issued, and the certificate has expired and is in an archive."`
	Archive     string `json:"archive,omitempty" doc:"Id of the archive, where archived."`
	Issuer      string `json:"issuer,omitempty" doc:"Id of the issuer, where issued."`
	Serial      string `json:"serial,omitempty" doc:"Serial number in hexadecimal, where issued."`
	Certificate string `json:"certificate,omitempty" doc:"PEM, where issued."`
	Kind        string `json:"kind,omitempty" doc:"The kind of problem, where refused." example:"duplicate-key"`
	Reason      string `json:"reason,omitempty" doc:"What was wrong, where refused."`
}

// The ends that a row can come to.
const (
	RowIssued    = "issued"
	RowArchived  = "archived" // issued, and not in the store any more
	RowRefused   = "refused"
	RowCancelled = "cancelled"
)
