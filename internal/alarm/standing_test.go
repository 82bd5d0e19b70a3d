package alarm_test

import (
	"slices"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/alarm"
)

// TestStanding: what a look does not find any more is off the board, and what others
// raised stays.
func TestStanding(t *testing.T) {
	b := alarm.NewBoard(time.Now)
	of := func(targets ...string) (all []alarm.Alarm) {
		for _, target := range targets {
			all = append(all, alarm.Alarm{Key: alarm.Key{Tenant: "acme", Name: "test.wrong", Target: target}})
		}
		return all
	}
	names := func(all []alarm.Alarm) (names []string) {
		for _, a := range all {
			names = append(names, a.Target)
		}
		slices.Sort(names)
		return names
	}
	b.Raise(of("another's")[0])
	var s alarm.Standing
	for _, look := range []struct{ wrong, fresh, board []string }{
		{[]string{"a", "b"}, []string{"a", "b"}, []string{"a", "another's", "b"}},
		{[]string{"b", "c"}, []string{"c"}, []string{"another's", "b", "c"}},
		{nil, nil, []string{"another's"}},
		{[]string{"a"}, []string{"a"}, []string{"a", "another's"}},
	} {
		if got := names(s.Replace(b, of(look.wrong...))); !slices.Equal(got, look.fresh) {
			t.Errorf("%v: new are %v, want %v", look.wrong, got, look.fresh)
		}
		if got := names(b.Of("acme")); !slices.Equal(got, look.board) {
			t.Errorf("%v: the board has %v, want %v", look.wrong, got, look.board)
		}
	}
}
