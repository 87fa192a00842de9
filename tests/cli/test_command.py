# SPDX-License-Identifier: GPL-2.0-or-later
"""The command as a person meets it: help, version, check, completion, wrong usage."""
import json
import os
import re
import subprocess

import pytest

from conftest import TOP, VISOR

COMMANDS = ["run", "create", "start", "stop", "restart", "kill", "pause", "resume", "wait", "rm", "rename", "ps", "inspect",
            "logs", "events", "stats", "top", "update", "attach", "console", "exec", "cp", "network", "generate",
            "image", "binfmt", "check", "version", "help", "completion"]


def options_of(visor, command):
    return re.findall(r"^  (?:-., )?--([a-z-]+)", visor("help", command).stdout, re.MULTILINE)


def test_without_a_command_prints_the_overview_and_fails(visor):
    result = visor()
    assert result.returncode == 2
    for command in COMMANDS:
        assert re.search(rf"^  {command} ", result.stdout, re.MULTILINE)


def test_help_explains_each_command(visor):
    for command in COMMANDS:
        result = visor("help", command)
        assert result.returncode == 0
        assert result.stdout.startswith(f"Usage: visor {command}")
        assert visor(command, "--help").stdout == result.stdout


def test_unknown_command_is_named_with_a_hint(visor):
    result = visor("frobnicate")
    assert result.returncode == 2
    assert "frobnicate" in result.stderr and "visor help" in result.stderr


def test_unknown_option_is_named(visor):
    result = visor("run", "--frobnicate", "x")
    assert result.returncode == 2
    assert "--frobnicate" in result.stderr


def test_option_without_its_argument_is_named(visor):
    result = visor("run", "--root")
    assert result.returncode == 2
    assert "--root needs an argument" in result.stderr


def test_unknown_trace_lists_the_known_ones(visor):
    result = visor("run", "--trace", "syscalls", "x")
    assert result.returncode == 2
    assert "syscall, signal, guest, ir and host" in result.stderr


def test_unknown_architecture_is_named(visor):
    result = visor("run", "--arch", "vax", "x")
    assert result.returncode == 2
    assert "vax" in result.stderr and "arm64" in result.stderr


def test_version_agrees_with_the_build(visor):
    version = re.search(r"version: '([\d.]+)'", (TOP / "meson.build").read_text()).group(1)
    assert visor("version").stdout.split()[:2] == ["visor", version]
    facts = json.loads(visor("version", "--json").stdout)
    assert facts["version"] == version
    assert facts["guests"] == ["arm64", "amd64"] and facts["machines"] == ["pc"]
    assert all(word in visor("version").stdout for word in facts["guests"] + ["x86 machines"])
    assert visor("--version").stdout == visor("version").stdout


def test_check_table_and_json_tell_the_same(visor):
    facts = json.loads(visor("check", "--json").stdout)
    table = visor("check").stdout
    assert {"architecture", "cpu64", "pae", "vmx_svm", "nested_paging", "iommu", "kvm", "user_namespaces", "cage", "cgroup",
            "overlayfs", "tun", "vhost_net", "binfmt_misc", "hugepages", "ksm", "memory", "cores"} <= set(facts)
    for fact in facts.values():
        assert fact["verdict"] in ("yes", "partly", "no")
        assert fact["detail"]
    assert len(table.splitlines()) == len(facts) + 1
    assert facts["architecture"]["detail"] in table


def test_check_agrees_with_the_kernel(visor):
    facts = json.loads(visor("check", "--json").stdout)
    flags = re.search(r"^flags\s*: (.*)$", open("/proc/cpuinfo").read(), re.MULTILINE).group(1).split()
    assert (facts["pae"]["verdict"] == "yes") == ("pae" in flags)
    assert (facts["vmx_svm"]["verdict"] == "yes") == bool({"vmx", "svm"} & set(flags))
    overlay = "overlay" in open("/proc/filesystems").read().split()
    assert (facts["overlayfs"]["verdict"] == "yes") == overlay


def test_check_tells_what_of_a_cage_there_is():
    """In a user namespace of one user there is no id that nobody else has."""
    inside = subprocess.run(["unshare", "-Ur", VISOR, "check", "--json"], capture_output=True, text=True, check=False)
    if inside.returncode:
        pytest.skip(f"no user namespace: {inside.stderr}")
    cage = json.loads(inside.stdout)["cage"]
    assert cage["verdict"] == "partly" and re.match("without user($|,)", cage["detail"])


def test_manual_page_has_every_command_and_option(visor):
    page = (TOP / "docs/visor.1").read_text().replace("\\-", "-")
    for command in COMMANDS:
        assert f'"visor {command}' in page
        for option in options_of(visor, command):
            assert f"--{option}" in page, f"visor.1 lacks --{option} of {command}"


def test_bash_completes_commands_options_and_choices():
    def complete(line):
        words = line.split(" ")
        script = (f'source <("{VISOR}" completion bash); COMP_WORDS=({" ".join(repr(w) for w in words)}); '
                  f'COMP_CWORD={len(words) - 1}; _visor 2>/dev/null; echo "${{COMPREPLY[*]}}"')
        return subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout.split()

    assert complete("visor ch") == ["check"]
    assert complete("visor run --ro") == ["--root"]
    assert complete("visor run --arch ar") == ["arm64"]
    assert complete("visor help ver") == ["version"]


def test_bash_completes_names_of_domains(visor, tmp_path):
    environment = {**os.environ, "VISOR_STORE": str(tmp_path)}
    for name in ("web", "worker"):
        visor("create", "--name", name, "--kernel", "/none", env=environment)

    def complete(*words):
        script = (f'source <("{VISOR}" completion bash); compopt() {{ :; }}; COMP_WORDS=("{VISOR}" {" ".join(words)}); '
                  f'COMP_CWORD={len(words)}; _visor; echo "${{COMPREPLY[*]}}"')
        return subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, env=environment).stdout.split()

    assert complete("stop", "we") == ["web"]
    assert sorted(complete("exec", "w")) == sorted(complete("exec", "-i", "w")) == ["web", "worker"]
    assert complete("exec", "web", "w") == []  # a program's name
    assert complete("cp", "we") == ["web:"]


def test_completion_scripts_are_valid(visor):
    for shell in ("bash", "zsh", "fish"):
        assert visor("completion", shell).returncode == 0
    subprocess.run(["bash", "-n"], input=visor("completion", "bash").stdout, text=True, check=True)
    assert visor("completion", "csh").returncode == 2
