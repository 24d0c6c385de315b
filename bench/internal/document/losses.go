package document

import (
	"fmt"
	"slices"
	"strings"

	"canton-backup/bench/internal/figures"
)

// recommended are the subjects of ours that are compared with the peers: what docs/how-to tells operators to set.
var recommended = map[string]string{figures.Capture: figures.OursZstd, figures.Backup: figures.OursZstdAge, figures.Restore: figures.OursZstd}

// Parts of the reasons.
const (
	noDuties   = "It takes no digests of text and file, no sums of the rows, does not wait for the disk, and starts no container. Ours does; verify and drill go by them."
	noTemporal = "It is a program for one copy. Ours holds the Temporal server, its database, the web UI and the status page; what of that grows with the database, the table by size shows."
	goProgram  = "It is C with small buffers. Ours is one Go program, and keeps blocks for all processors at work."
	physical   = "It copies data files: bytes are bytes there, not two letters each, and no server makes text of them."
	plainCopy  = "It neither checks the pair, nor encrypts, nor keeps a copy here, nor reads back what it sent."
)

// reasons are why a peer is better. What is not here, nobody has explained yet.
var reasons = map[string]map[string]map[figures.Measure]string{
	figures.Capture: {
		figures.Seed: {figures.Memory: goProgram, figures.Bytes: "Level 6 searches for repeats longer; in text that repeats it finds more than the fastest level of zstd."},
		figures.ZstdContainer: {figures.Wall: noDuties, figures.CPU: noDuties, figures.Memory: goProgram,
			figures.Bytes: "The library of zstd has a better search at its level 1 than the fastest level of the Go library."},
		figures.Rclone: {figures.Wall: noDuties, figures.CPU: noDuties, figures.Memory: "It streams through one small buffer.",
			figures.Bytes: "The library of zstd has a better search at its level 1 than the fastest level of the Go library."},
		figures.Custom: {figures.Memory: goProgram, figures.Bytes: "zlib's level 6 searches for repeats longer; it pays for that in time."},
		figures.Restic: {figures.Memory: "It cuts the stream into blobs of a MB or so.",
			figures.Bytes: "It stores what it has seen before once, and compresses at a higher level of zstd; it pays for that in time."},
		figures.PgBackRest: {figures.Wall: physical, figures.CPU: physical, figures.Memory: goProgram, figures.Bytes: physical},
	},
	figures.Backup: {
		figures.SeedCopied: {figures.Memory: noTemporal, figures.Bytes: "Level 6 of gzip searches for repeats longer."},
		figures.Rclone: {figures.Wall: plainCopy, figures.CPU: plainCopy, figures.Memory: noTemporal,
			figures.Bytes: "The library of zstd has a better search at its level 1 than the fastest level of the Go library."},
		figures.Restic: {figures.Memory: noTemporal, figures.Wall: plainCopy, figures.CPU: plainCopy,
			figures.Bytes: "It stores what it has seen before once, and compresses at a higher level of zstd; it pays for that in time."},
		figures.PgBackRest: {figures.Wall: physical + " It writes to a folder here, not to S3, and does not encrypt.", figures.CPU: physical, figures.Bytes: physical, figures.Memory: noTemporal},
	},
	figures.Restore: {
		figures.GunzipPsql: {figures.Memory: goProgram},
		figures.ZstdPsql:   {figures.Memory: goProgram, figures.CPU: "One session with one stream; ours feeds two, and reads every row to do so."},
		figures.PgRestore: {figures.Memory: goProgram, figures.CPU: "It hands blocks of rows to the server as they lie in the archive; ours finds the rows in the text.",
			figures.Wall: "It loads several tables, and builds several indexes, at a time."},
	},
}

const unexplained = "not explained yet"

// losses lists every peer that is better than ours in a case, with the reason.
func (r Run) losses(b *strings.Builder) {
	b.WriteString("\n## Where we lose\n\n")
	type row struct{ name, peer, measure string }
	var order []row
	where := map[row][]string{}
	why := map[row]string{}
	for _, loss := range r.Set.Losses(recommended) {
		key := row{loss.Case.Name, loss.Peer, string(loss.Measure)}
		if where[key] == nil {
			order = append(order, key)
		}
		where[key] = append(where[key], fmt.Sprintf("%.2f (%s, %d MB)", loss.Ratio, loss.Case.Kind, loss.Case.SizeMB))
		if why[key] = reasons[loss.Case.Name][loss.Peer][loss.Measure]; why[key] == "" {
			why[key] = unexplained
		}
	}
	if len(order) == 0 {
		b.WriteString("No peer was better in time, CPU, bytes or memory.\n")
		return
	}
	slices.SortStableFunc(order, func(a, b row) int { return slices.Index(names, a.name) - slices.Index(names, b.name) })
	b.WriteString("Peers that were better than `COMPRESSION=zstd` (with age in a backup), by more than 3 %: how many times theirs ours takes, in which data.\n\n")
	rows := [][]string{{"Case", "Peer", "In", "Ours / theirs", "Why"}}
	for _, key := range order {
		rows = append(rows, []string{key.name, key.peer, key.measure, strings.Join(where[key], ", "), why[key]})
	}
	table(b, rows)
}
