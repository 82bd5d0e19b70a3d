// Package retention archives certificates that expired longer ago than their tenant
// wants to have them in the store: it writes them to objects outside it, records in
// the tenant's log what it wrote, reads it back, and only then takes the rows away.
//
// What stays in the store of an archived certificate is that its serial was issued,
// and in which archive it is. Nothing is ever brought back, and no archive is ever
// removed: that is up to whoever runs the place where they are.
package retention

import (
	"fmt"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/pando-pki/pando/internal/audit"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/strictjson"
)

// An ID names an archive; ids sort by time.
type ID string

// A State is how far an archive is.
type State string

// The states of an archive.
const (
	Planned State = "planned" // chosen; its object may be there or not
	Written State = "written" // the object is there and in the log; rows are being taken away
	Done    State = "done"
)

// An Archive is one object with certificates of one tenant.
type Archive struct {
	ID                ID
	Tenant            pki.TenantID
	State             State
	Created           time.Time
	Before            time.Time // what all of its certificates expired before
	FirstRow, LastRow int64     // the rows of the store among which they are
	Removed           int64     // how many of them have been taken out of the store
	Finished          time.Time // zero while it is not done
	Manifest          Manifest  // its zero value while it is planned
}

// A Manifest says what an archive is, to the byte. It is the detail of the event by
// which the archive is in the tenant's log.
type Manifest struct {
	Object       string       `json:"object"` // its name in the archive's place
	SHA256       audit.Digest `json:"sha256"` // of the object
	Size         int64        `json:"size"`   // of the object, in bytes
	Certificates int64        `json:"certificates"`
	FirstIndex   int64        `json:"first_index"` // of their places in the log
	LastIndex    int64        `json:"last_index"`
	FirstSerial  audit.Serial `json:"first_serial"` // the lowest
	LastSerial   audit.Serial `json:"last_serial"`
}

// EventAction is the action of the event that records an archive.
const EventAction = "archive.write"

// Target returns the target of an archive's event.
func Target(id ID) string { return "archive:" + string(id) }

// String returns the manifest as it is recorded.
func (m Manifest) String() string {
	text, err := json.Marshal(m, json.Deterministic(true))
	if err != nil { // of fields that can all be written
		return err.Error()
	}
	return string(text)
}

// ParseManifest reads what String wrote.
func ParseManifest(text string) (m Manifest, err error) {
	if err := strictjson.Unmarshal([]byte(text), &m); err != nil {
		return m, fmt.Errorf("an archive's manifest: %w", err)
	}
	return m, nil
}
