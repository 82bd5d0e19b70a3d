package server

import (
	"net/http"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/alarm"
)

// TestReadyWithAlarms: critical alarms are told where readiness is asked for, and
// do not take the node out of service.
func TestReadyWithAlarms(t *testing.T) {
	s := open(t, newConfig(t), time.Now)
	run(t, s)
	late := alarm.Alarm{Key: alarm.Key{Name: "test.late"}, Severity: alarm.Warning}
	full := alarm.Alarm{Key: alarm.Key{Name: "test.full"}, Severity: alarm.Critical}
	for _, step := range []struct {
		act  func()
		want string
	}{
		{func() { s.alarms.Raise(late) }, "ready\n"},
		{func() { s.alarms.Raise(full) }, "ready, with critical alarms: 1 ('pando alarms' says which)\n"},
		{func() { s.alarms.Clear(full.Key) }, "ready\n"},
	} {
		step.act()
		if status, body := fetch(t, s.URL("ops")+"/readyz"); status != http.StatusOK || body != step.want {
			t.Errorf("%d %q, want %q", status, body, step.want)
		}
	}
}
