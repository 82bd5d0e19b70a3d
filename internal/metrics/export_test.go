package metrics

// A Documented metric is one of the table in docs/operator/metrics.md.
type documented struct {
	Name, Kind, Help string
	Labels           []string
}

// Documented lists every metric of pando's own.
func Documented() []documented {
	var all []documented
	for _, d := range definitions() {
		all = append(all, documented{d.name, d.kind, d.help, d.labels})
	}
	return all
}
