package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/audit"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/strictjson"
)

// maxKept is how many kept checkpoints 'pando cert show' compares: each is a request.
const maxKept = 100

// A keptLog is what was made of the checkpoints that somebody kept of a log.
type keptLog struct {
	Since   []audit.Older `json:"since"` // that the log is consistent with, by size
	LeftOut int           `json:"left_out,omitzero"`
}

// compareKept verifies by the server's proofs that the log in which an entry was shown
// begins with what it was at each of the checkpoints that somebody kept: the newest
// maxKept, where there are more. All must be signed by the key that the server sent. An
// error is said of the first that does not hold.
func compareKept(ctx context.Context, cl *client.Client, l *logged, notes []string) (*keptLog, error) {
	key, err := audit.ParseKey(l.Key)
	if err != nil {
		return nil, err
	}
	var kept []audit.Checkpoint
	for _, note := range notes {
		c, err := key.OpenKept(note)
		if err != nil {
			return nil, err
		}
		if c.Size > l.Size {
			return nil, fmt.Errorf("the checkpoint of %s has %d entries and the log that the server shows %d: its tail was cut, or the server has an older copy", when(c.Time), c.Size, l.Size)
		}
		kept = append(kept, c)
	}
	own, err := cl.Checkpoint(ctx)
	if err != nil {
		return nil, fmt.Errorf("asking for the log: %w", err)
	}
	if strings.TrimSpace(own.Key) != key.String() {
		return nil, fmt.Errorf("the certificate is in the log %s, which is not that of the token's tenant: the server compares it with checkpoints for a token of that tenant", key.Origin())
	}
	slices.SortFunc(kept, func(a, b audit.Checkpoint) int { return cmp.Or(cmp.Compare(a.Size, b.Size), a.Time.Compare(b.Time)) })
	kept = slices.CompactFunc(kept, func(a, b audit.Checkpoint) bool { return a.Size == b.Size && a.Root == b.Root })
	k := &keptLog{LeftOut: max(0, len(kept)-maxKept)}
	for _, c := range kept[k.LeftOut:] {
		if err := compareOne(ctx, cl, c, l.head); err != nil {
			return nil, err
		}
		k.Since = append(k.Since, audit.Older{Size: c.Size, Signed: c.Time})
	}
	return k, nil
}

// compareOne verifies that the log of head begins with that of an older checkpoint.
func compareOne(ctx context.Context, cl *client.Client, older, head audit.Checkpoint) error {
	p := audit.Consistency{From: older.Size, To: head.Size}
	if 0 < older.Size && older.Size < head.Size { // else there is nothing to ask for
		text, err := cl.ConsistencyProof(ctx, older.Size, head.Size)
		if err != nil {
			return fmt.Errorf("asking for the proof that the log begins with the checkpoint of %s: %w", when(older.Time), err)
		}
		p = audit.Consistency{}
		if err := strictjson.Unmarshal(text, &p); err != nil {
			return fmt.Errorf("the server sent no proof of consistency: %w", err)
		}
	}
	if p.Connect(older, head) != nil {
		return pki.Errorf(pki.BadProof, "the log was rewritten: its first %d entries are not proved to be those of the checkpoint of %s", older.Size, when(older.Time))
	}
	return nil
}

// String says what was compared.
func (k *keptLog) String() string {
	newest := k.Since[len(k.Since)-1]
	s := fmt.Sprintf("consistent with the checkpoint of size %d of %s", newest.Size, when(newest.Signed))
	if more := len(k.Since) - 1; more > 0 {
		s += fmt.Sprintf(" and %d older", more)
	}
	if k.LeftOut > 0 {
		s += fmt.Sprintf("; %d still older were not compared: 'pando audit verify' compares all", k.LeftOut)
	}
	return s
}
