package sqlstore

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pki"
)

// TestAdoptDamaged: open intents whose rows are damaged hold up no other, and the
// error names them.
func TestAdoptDamaged(t *testing.T) {
	for _, test := range []struct{ name, change string }{
		{"the payload", `UPDATE intent SET payload = x'ff' WHERE id IN ('intent-1', 'intent-2')`},
		{"cut", `UPDATE intent SET payload = CAST(substr(payload, 1, length(payload) - 1) AS BLOB) WHERE id IN ('intent-1', 'intent-2')`},
		{"the digest", `UPDATE intent SET digest = zeroblob(32) WHERE id IN ('intent-1', 'intent-2')`},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			issueThree(t, dir)
			s := open(t, dir)
			defer s.Close()
			must := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			now := time.Now()
			before, err := s.Enter(t.Context(), "node", now.Add(time.Minute))
			must(err)
			for _, id := range []pki.IntentID{"intent-1", "intent-2", "intent-3", "intent-4"} {
				in := &issuance.Intent{ID: id, Issuer: "issuer", Tenant: "acme", Node: "node", Epoch: before, Attempt: 1, Items: []*issuance.Item{{
					Serial: pki.NewSerial(pki.SerialLong, now), Owner: "acme", Profile: pki.ProfileRef{Tenant: "acme", Name: "meter", Version: 1},
					NotBefore: now, NotAfter: now, SharedKey: true, TBS: []byte(id),
				}}}
				must(s.Commit(t.Context(), now, nil, []*issuance.Intent{in}))
				must(in.Err)
			}
			_, err = s.write.conn.ExecContext(t.Context(), test.change)
			must(err)

			epoch, err := s.Enter(t.Context(), "node", now.Add(time.Minute))
			must(err)
			var adopted []string
			for range 3 {
				got, err := s.Adopt(t.Context(), "node", epoch, now, 1)
				if !errors.Is(err, errDamaged) || !strings.Contains(err.Error(), "intent-1") || strings.Contains(err.Error(), "intent-3") {
					t.Errorf("the error is %v", err)
				}
				for _, in := range got {
					adopted = append(adopted, string(in.Items[0].TBS))
				}
			}
			if diff := cmp.Diff([]string{"intent-3", "intent-4"}, adopted); diff != "" {
				t.Errorf("adopted (-want +got):\n%s", diff)
			}
			for _, id := range []pki.IntentID{"intent-1", "intent-2"} {
				if open, err := s.Open(t.Context(), id); err != nil || !open {
					t.Errorf("%s is open: %t, %v", id, open, err)
				}
			}
		})
	}
}
