package metrics

import "github.com/prometheus/client_golang/prometheus"

// A definition is one metric of pando's own. The package has a table of them all,
// from which docs/operator/metrics.md is made.
type definition struct {
	name, kind, help string
	labels           []string
}

func (d definition) desc() *prometheus.Desc {
	return prometheus.NewDesc(d.name, d.help, d.labels, nil)
}

func counter(name, help string, labels ...string) definition {
	return definition{name, "counter", help, labels}
}

func gauge(name, help string, labels ...string) definition {
	return definition{name, "gauge", help, labels}
}

func histogram(name, help string, labels ...string) definition {
	return definition{name, "histogram", help, labels}
}

// The metrics. They are not changed.
var (
	build    = gauge("pando_build_info", "1, with the version of the program.", "version")
	requests = counter("pando_http_requests_total", "Requests that were answered, by the pattern of the route and the status code.", "listener", "route", "code")
	took     = histogram("pando_http_request_duration_seconds", "How long requests took, uploads and streams as a whole.", "listener", "route")

	issued    = counter("pando_certificates_issued_total", "Certificates that were recorded; way is single or batch.", "way")
	refused   = counter("pando_certificates_refused_total", "Requests without a certificate, by the kind of the error; way is single or batch.", "way", "kind")
	underWay  = gauge("pando_issuance_requests", "Single requests that have no answer yet.")
	waiting   = gauge("pando_issuance_queue", "What waits for an intent: single requests, and chunks of batches of up to 250 rows.", "way")
	intents   = gauge("pando_issuance_open_intents", "Groups that were committed by this process and are not recorded yet.")
	groups    = histogram("pando_issuance_group_size", "Certificates in a committed intent.")
	commits   = histogram("pando_issuance_commit_duration_seconds", "How long the transaction of intents and records took, with its wait for the writer.")
	signature = histogram("pando_signature_duration_seconds", "How long a key took to sign, by its kind.", "key")

	transactions = histogram("pando_store_transaction_duration_seconds", "How long transactions that write took, from their turn until they were durable.")
	database     = gauge("pando_store_database_bytes", "Size of the database's file.")
	wal          = gauge("pando_store_wal_bytes", "Size of the write-ahead log's file.")
	entries      = counter("pando_revocation_entries_total", "Revocation entries that the store was ever given, those of serials that became void with them.")

	archives        = counter("pando_archives_total", "Archives of expired certificates that this process finished.")
	archived        = counter("pando_archived_certificates_total", "Certificates that are in them, and out of the store.")
	archiveFailures = counter("pando_archive_failures_total", "Rounds of archiving that failed.")

	crlsMade = counter("pando_crls_made_total", "CRLs that this process signed.")
	crlAge   = gauge("pando_crl_age_seconds", "Time since thisUpdate of the issuer's oldest current CRL.", "issuer")
	crlLeft  = gauge("pando_crl_remaining_seconds", "Time until nextUpdate of the issuer's CRL that ends first; negative when it is over.", "issuer")
	crlLate  = gauge("pando_crl_shards_behind", "CRL shards of the issuer that have no CRL, or entries that are not in it.", "issuer")

	ocspTold    = counter("pando_ocsp_certificates_total", "Certificates that OCSP answers told about, by what they said.", "status")
	ocspKept    = counter("pando_ocsp_answers_kept_total", "OCSP answers that had been signed before.")
	ocspRefused = counter("pando_ocsp_refused_total", "OCSP requests without a signed answer, by the kind of the error.", "kind")

	alarms = gauge("pando_alarms", "Alarms that stand now, by what is watched.", "alarm", "severity")
	blind  = gauge("pando_metrics_store_error", "1 where the store did not answer while the metrics were collected: those that come from it are missing.")
)

// definitions lists the metrics in the order of the documentation.
func definitions() []definition {
	return []definition{
		build, requests, took,
		issued, refused, underWay, waiting, intents, groups, commits, signature,
		transactions, database, wal, entries, archives, archived, archiveFailures,
		crlsMade, crlAge, crlLeft, crlLate, ocspTold, ocspKept, ocspRefused,
		alarms, blind,
	}
}
