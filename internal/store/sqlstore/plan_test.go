package sqlstore

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pando-pki/pando/internal/enrolauth"
)

// TestSearchesUseIndexes shows the plan of each statement that leads a search: it
// goes through an index, or a table by its key, in its order, and sorts nothing.
func TestSearchesUseIndexes(t *testing.T) {
	s, err := Open(context.Background(), t.TempDir()+"/pando.db", Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for name, test := range map[string]struct {
		text  string
		index []string
	}{
		"serial":          {leadSerial, []string{"certificate_serial"}},
		"fingerprint":     {leadFingerprint, []string{"PRIMARY KEY"}},
		"batch":           {leadBatch, []string{"certificate_row"}},
		"results":         {issuedRows, []string{"certificate_row"}},
		"device":          {leadDevice, []string{"certificate_device", "certificate_lent_device"}},
		"lot":             {leadLot, []string{"certificate_lot"}},
		"product line":    {leadLine, []string{"certificate_line"}},
		"subject":         {leadSubject, []string{"PRIMARY KEY"}},
		"expiry":          {leadExpiry, []string{"PRIMARY KEY"}},
		"entries":         {leadEntries, []string{"certificate_serial", "PRIMARY KEY"}},
		"tenant":          {leadTenant, []string{"certificate_tenant", "certificate_lent_owner"}},
		"owner":           {leadOwner, []string{"certificate_lent_owner"}},
		"devices":         {devicesByID, []string{"PRIMARY KEY"}},
		"state":           {devicesByState, []string{"device_state"}},
		"keys used":       {selectKeys.texts[2], []string{"PRIMARY KEY"}},
		"any of a file":   {anyDeviceOf, []string{"PRIMARY KEY", "certificate_row"}},
		"issued of file":  {selectIssued.texts[2], []string{"certificate_device"}},
		"rows of a file":  {rowsOfFile, []string{"batch_retries", "sqlite_autoindex_batch_rows_1"}},
		"requests known":  {selectOrders.texts[2], []string{"PRIMARY KEY"}},
		"events":          {eventsOf, []string{"sqlite_autoindex_event_1"}},
		"events on":       {eventsAt, []string{"event_target"}},
		"asked for":       {askedChange, []string{"change_asked"}},
		"changes open":    {openChanges, []string{"change_open"}},
		"open of one":     {openOfRequester, []string{"change_same"}},
		"rows to drop":    {purgeable, []string{"sqlite_autoindex_batch_1 (id>?)", "sqlite_autoindex_batch_rows_1 (batch=? AND no>?)", "PRIMARY KEY"}},
		"gone parts":      {dropGone, []string{"sqlite_autoindex_crl_part_1"}},
		"marks of parts":  {dropMarks, []string{"PRIMARY KEY"}},
		"parts of a CRL":  {partsOf, []string{"sqlite_autoindex_crl_part_1", "PRIMARY KEY"}},
		"to be gone":      {markGone + withinSpan, []string{"COVERING INDEX sqlite_autoindex_crl_part_1"}},
		"kept requests":   {keptRequests, []string{"batch_tenant", "batch_chunk_row", "batch_request_chunk"}},
		"not approved":    {deniedBatches, []string{"batch_state", "change_target"}},
		"approved by":     {changeOf, []string{"change_certificate_serial"}},
		"planned in lot":  {plannedBy("lot"), []string{"device_lot"}},
		"planned in line": {plannedBy("product_line"), []string{"device_line"}},
		"issued in lot":   {issuedBy("lot"), []string{"certificate_lot", "certificate_device", "PRIMARY KEY"}},
		"devices of lot":  {devicesOfLot, []string{"certificate_lot"}},
		"SCEP":            {selectSCEP, []string{"PRIMARY KEY"}},
		"SCEP taken":      {takenSCEP, []string{"PRIMARY KEY"}},
		"SCEP renewed":    {renewalOf, []string{"certificate_device", "certificate_serial", "PRIMARY KEY"}},
		"notices due":     {dueNotices, []string{"validator_notice_due"}},
		"notices of whom": {noticeValidators, []string{"validator_notice_due"}},
		"SCEP purged":     {purgeSCEP, []string{"PRIMARY KEY", "scep_transaction_begun"}},
		"secrets":         {secretsBy(enrolauth.Filter{}), []string{"enrol_secret_tenant"}},
		"secrets at":      {secretsBy(enrolauth.Filter{Endpoint: "meter"}), []string{"enrol_secret_endpoint"}},
		"secrets of":      {secretsBy(enrolauth.Filter{Device: "SM-1"}), []string{"enrol_secret_device"}},
		"secrets chosen":  {chosenSecrets, []string{"enrol_secret_chosen"}},
		"secrets purged":  {purgeSecrets, []string{"enrol_secret_expires"}},
		"requests purged": {purgeOrders, []string{"idempotency_created", "PRIMARY KEY"}},
		"entries of some": {entriesOf, []string{"revocation_serial (issuer=? AND shard=? AND serial=?)"}},
		"issued in line":  {issuedBy("product_line"), []string{"certificate_line", "certificate_device", "PRIMARY KEY"}},
	} {
		var args []any
		for n := 999; n > 0; n-- { // as many as the highest number
			if strings.Contains(test.text, fmt.Sprint("$", n)) {
				args = make([]any, n)
				break
			}
		}
		for i := range args {
			args[i] = 1
		}
		plan, err := list(context.Background(), s.read, func(row row) (detail string, err error) {
			var id, parent, unused int
			err = row.Scan(&id, &parent, &unused, &detail)
			return detail, err
		}, "EXPLAIN QUERY PLAN "+test.text, args...)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all := strings.Join(plan, "\n")
		for _, index := range test.index {
			if !strings.Contains(all, index) {
				t.Errorf("%s does not use %s:\n%s", name, index, all)
			}
		}
		if name == "devices of lot" || name == "changes open" { // they group what limits, or an index of what is open, leave, in memory
			continue
		}
		for _, step := range plan {
			// A co-routine is gone through once; it is bounded itself, as are the marks, in their order.
			if strings.Contains(step, "TEMP B-TREE") || strings.HasPrefix(step, "SCAN") && !slices.Contains([]string{"SCAN c", "SCAN g", "SCAN r", "SCAN s", "SCAN CONSTANT ROW"}, step) {
				t.Errorf("%s: %s in\n%s", name, step, all)
			}
		}
	}
}
