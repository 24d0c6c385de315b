package canton

import (
	"cmp"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"canton-backup/internal/backupset"
)

// Launch is how a node is started: the flags of its start.sh (domain 2.4), as its containers show them.
type Launch struct {
	Sponsor    string `json:"sponsor"`              // -s
	Scan       string `json:"scan,omitempty"`       // -c
	PartyHint  string `json:"party_hint"`           // -p
	Migration  string `json:"migration,omitempty"`  // -m
	Identifier string `json:"identifier,omitempty"` // -P, only when it is not the party hint
	Network    string `json:"network,omitempty"`    // -n: a Docker network that exists already
	Sequencer  string `json:"sequencer,omitempty"`  // -b -q
	Auth       bool   `json:"auth"`                 // -a; without it the node comes up with auth off
	AllHosts   bool   `json:"all_hosts"`            // -E
	Image      string `json:"image_tag,omitempty"`  // IMAGE_TAG
	// Lost are parts of the launch that cannot be read back from containers.
	Lost []string `json:"lost,omitempty"`
}

// Fallback is what the operator's settings say, for what the containers do not.
type Fallback struct{ Sponsor, Scan, PartyHint, Migration string }

var numbered = regexp.MustCompile(`^participant-([0-9]+)$`)

// LaunchOf reads how a node was started from the facts of a set or of the running containers, and the name of the participant's database:
// -m is what start.sh makes that name of.
func LaunchOf(f backupset.NodeFacts, participantDB string, settings Fallback) Launch {
	l := Launch{
		Sponsor: cmp.Or(f.Launch["sponsor_sv_address"], settings.Sponsor), Scan: cmp.Or(f.Launch["scan_address"], settings.Scan),
		PartyHint: cmp.Or(f.Launch["party_hint"], settings.PartyHint),
		Network:   f.Launch["docker_network"], Sequencer: f.Launch["sequencer_address"], AllHosts: f.Launch["bind_all"] == "true", Auth: true,
	}
	if m := numbered.FindStringSubmatch(participantDB); m != nil {
		l.Migration = m[1]
	} else if participantDB != "participant" {
		l.Migration = settings.Migration
	}
	if id := f.Launch["participant_identifier"]; id != l.PartyHint {
		l.Identifier = id
	}
	if image := f.Images["validator"]; image != "" {
		if colon := strings.LastIndex(image, ":"); colon > strings.LastIndex(image, "/") {
			if tag := image[colon+1:]; tagPattern.MatchString(tag) {
				l.Image = tag
			}
		}
	}
	if f.ConfigFiles == "" {
		l.Auth = false // nothing was recorded: as start.sh does by itself
		l.Lost = append(l.Lost, "whether auth was on (-a)")
	}
	for _, file := range strings.Split(f.ConfigFiles, ",") {
		switch filepath.Base(file) {
		case ".", "compose.yaml", "compose-traffic-topups.yaml", "compose-restore-from-id.yaml":
		case "compose-disable-auth.yaml":
			l.Auth = false
		case "compose-bft-custom.yaml":
			l.Lost = append(l.Lost, "the chosen group of SVs (-B -u -S -T)")
		case "compose-trust-single.yaml":
			if l.Sequencer == "" {
				l.Lost = append(l.Lost, "the address of the trusted sequencer (-b -q)")
			}
		case "compose-onvpn-network.yaml":
			if l.Network == "" {
				l.Lost = append(l.Lost, "the Docker network (-n)")
			}
		default:
			l.Lost = append(l.Lost, "what made start.sh use "+filepath.Base(file))
		}
	}
	if l.Sponsor == "" {
		l.Lost = append(l.Lost, "the sponsor SV (-s): set SV_URL")
	}
	if l.PartyHint == "" {
		l.Lost = append(l.Lost, "the party hint (-p): set PARTY_HINT")
	}
	slices.Sort(l.Lost)
	return l
}

// Arguments are those of start.sh. The onboarding secret is empty, which the script wants to be told: the node was onboarded long ago.
func (l Launch) Arguments() []string {
	args := []string{"-s", l.Sponsor, "-o", "", "-p", l.PartyHint}
	for _, option := range []struct{ flag, value string }{{"-c", l.Scan}, {"-m", l.Migration}, {"-P", l.Identifier}, {"-n", l.Network}} {
		if option.value != "" {
			args = append(args, option.flag, option.value)
		}
	}
	if l.Sequencer != "" {
		args = append(args, "-b", "-q", l.Sequencer)
	}
	if l.Auth {
		args = append(args, "-a")
	}
	if l.AllHosts {
		args = append(args, "-E")
	}
	return args
}

// ScanAddress is the Scan that start.sh asks before it starts anything, by its arguments (domain 2.4).
func ScanAddress(args []string) string {
	value := map[string]string{}
	for i := 0; i+1 < len(args); i++ {
		switch args[i] {
		case "-s", "-c", "-C":
			value[args[i]] = args[i+1]
		}
	}
	return cmp.Or(value["-C"], value["-c"], strings.Replace(value["-s"], "https://sv", "https://scan", 1))
}

// CommandLine is what an operator types to start the node of that bundle by hand. Whatever a shell could take for its own is quoted: the parts may
// come from a manifest.
func CommandLine(dir, imageTag string, args []string) string {
	words := []string{shellWord(filepath.Join(dir, "start.sh"))}
	for _, arg := range args {
		words = append(words, shellWord(arg))
	}
	line := strings.Join(words, " ")
	if imageTag != "" {
		line = "IMAGE_TAG=" + shellWord(imageTag) + " " + line
	}
	return line
}

var tagPattern = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`)

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./:@%+=,-]+$`)

// shellWord makes one word for a POSIX shell.
func shellWord(word string) string {
	if plainWord.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
