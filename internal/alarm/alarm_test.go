package alarm

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestBoard(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	b := NewBoard(func() time.Time { return now })
	stale := Alarm{Key: Key{Tenant: "demo", Name: "crl.stale", Target: "shard 1"}, Severity: Warning, What: "old"}
	disk := Alarm{Key: Key{Name: "disk.full"}, Severity: Critical, What: "full"}
	if !b.Raise(stale) {
		t.Error("the first is not new")
	}
	begun := now
	now = now.Add(time.Hour)
	stale.What = "older"
	if b.Raise(stale) {
		t.Error("the same again is new")
	}
	b.Raise(disk)
	stale.Since, disk.Since = begun, now
	if diff := cmp.Diff([]Alarm{disk, stale}, b.All()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]Alarm{stale}, b.Of("demo")); diff != "" {
		t.Error(diff)
	}
	if !b.Clear(stale.Key) || b.Clear(stale.Key) || len(b.Of("demo")) != 0 {
		t.Error("clearing takes one alarm, once")
	}
	if b.Raise(stale); !b.Of("demo")[0].Since.Equal(now) {
		t.Error("an alarm that was cleared begins anew")
	}
}
