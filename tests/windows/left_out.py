"""Tests that are not run under Wine, each with the fact that is in the way.

`INSIDE` and `ACROSS` are the tests that cannot be run there. `SAME` and `SAME_ACROSS` are those
that could, but tell nothing there that they do not tell on Linux, or little for their time:

- `PURE`: the test uses Python without host/ and child/ only; tests/unit/test_house.py checks that.
- `MEMORY`: the test works in memory only, with a clock of its own.
- `SOURCE`: the test reads files of the source only.
- The others: tests that are run there show the same of the system.

`make test-windows WINDOWS=all` runs these tests too.
"""

from __future__ import annotations

from collections.abc import Mapping

PATHS = "the test's paths begin with / or hold one: on Windows /c is C:/c, and C:\\a/b is C:\\a\\b"
MODES = "the test asks for modes of files, which Windows does not have"
SIGNALS = "the test sends or handles signals that Windows does not have"
FORK = "the test forks, which Windows cannot"
PROC = "the test looks into /proc"
SHELL = "the test starts a program of /bin, or a script of sh"
CHANNEL = "the test knows the descriptor of the channel, or makes one that does not wait"
SHARED = "the test opens a file so that nobody may rename it"
LINES = "lines that Python prints without the IOC end with CR and LF there"
TEXTS = "the test compares the text of a system's error, which is another one on Windows"
FIFO = "Windows has no FIFOs in directories"
GIT = "there is no git for Windows among the packages"
NOT_THERE = "the test is of a part that Windows does not need: its kernel does it"
ENVIRONMENT = "an interpreter that waits looks like a run: Windows shows variables as they are now"
HELD = "tests/windows/inside/test_host.py is of the locks and names of Windows"
LIMITS = "the test, or a benchmark that it imports, sets resource limits"
CLOCK = "the test's clock is finer than Windows', or Wine's"
SLOW = "Wine starts the test's threads too slowly"
THREAD = "a run has one thread more there"
REFUSED = "the setting is refused on Windows"

# The beginnings of the tests' names, so also whole files: why.
INSIDE: Mapping[str, str] = {
    "tests/unit/test_cli.py::test_check[": PATHS,
    "tests/unit/test_cli.py::test_check_finds_what_run_would_fail_of": PATHS,
    "tests/unit/test_cli.py::test_check_of_a_registry_that_does_not_answer": PATHS,
    "tests/unit/test_cli.py::test_commands_with_any_streams": SHELL,
    "tests/unit/test_cli.py::test_every_key_is_an_option": PATHS,
    "tests/unit/test_cli.py::test_output_in_any_encoding": "output is UTF-8 in any locale there",
    "tests/unit/test_config.py": PATHS,
    "tests/unit/test_config_errors.py::test_a_wrong_file": REFUSED,
    "tests/unit/test_docs.py": "the test looks for a program of Linux that writes the documents",
    "tests/unit/test_house.py::test_a_serving_ioc_imports_what_it_needs": (
        "asyncio imports ssl on Windows, whatever it is asked for"
    ),
    "tests/unit/test_kept.py::test_a_broken_file_that_cannot_be_moved": TEXTS,
    "tests/unit/test_kept.py::test_a_failed_save_names_the_file": PATHS,
    "tests/unit/test_kept.py::test_an_unreadable_file": TEXTS,
    "tests/unit/test_kept.py::test_round_trip": MODES,
    "tests/unit/test_benchmarks.py": LIMITS,
    "tests/unit/test_deploy.py": LIMITS,
    "tests/unit/test_deploy_images.py": "hadolint has no package for this Python of Windows",
    "tests/unit/test_bounds.py": LIMITS,
    "tests/unit/test_path_map.py": REFUSED,
    "tests/unit/test_reload_plan.py": PATHS,
    "tests/unit/test_timers.py": CLOCK,
    "tests/process/test_exits.py::test_ends[import os\\nos.kill(os.getpid(), 9)": SIGNALS,
    "tests/process/test_exits.py::test_ends[import os, signal": SIGNALS,
    "tests/unit/test_history.py::test_who_may_read_it": MODES,
    "tests/process/test_exits.py::test_too_old": "there is no older Python of Windows here",
    "tests/process/test_exits.py::test_crash": SIGNALS,
    "tests/process/test_exits.py::test_no_file": TEXTS,
    "tests/process/test_exits.py::test_a_directory": TEXTS,
    "tests/process/test_exits.py::test_a_fifo_is_no_script": FIFO,
    "tests/process/test_exits.py::test_a_file_that_cannot_be_read": MODES,
    "tests/process/test_exits.py::test_no_interpreter": TEXTS,
    "tests/process/test_exits.py::test_no_python": SHELL,
    "tests/process/test_exits.py::test_no_working_directory": PATHS,
    "tests/process/test_exits.py::test_a_working_directory_that_is_closed": MODES,
    "tests/process/test_hook.py::test_wherever_it_is_called[import os": FORK,
    "tests/process/test_hook.py::test_children_of_multiprocessing[fork": FORK,
    "tests/process/test_hook.py::test_children_of_children[fork": FORK,
    "tests/process/test_hook.py::test_an_editable_install": PATHS,
    "tests/process/test_reload.py": "nothing asks for a reload on Windows",
    "tests/process/test_restart.py::test_modules_are_imported_while": "os.kill(pid, 0) is ^C there",
    "tests/process/test_restart.py::test_a_module_that_never_comes_back[kills]": SIGNALS,
    "tests/process/test_supervisor.py::test_stop_returns_when_nothing_lives": SIGNALS,
    "tests/process/test_supervisor.py::test_no_interpreter": TEXTS,
    "tests/process/test_supervisor.py::test_crash_shows_where": SIGNALS,
    "tests/process/test_supervisor.py::test_usage_is_of_the_whole_tree": THREAD,
    "tests/process/test_supervisor.py::test_guardian_is_replaced": NOT_THERE,
    "tests/process/test_supervisor.py::test_cpu_is_of_the_last_moments": CLOCK,
    "tests/process/test_supervisor.py::test_heartbeat_never_goes_back": FORK,
    "tests/process/test_supervisor.py::test_children_of_a_good_end_are_told": FORK,
    "tests/process/test_supervisor.py::test_a_wrapper_that": SHELL,
    "tests/process/test_supervisor.py::test_no_script_where_none_is": PATHS,
    "tests/process/test_checker.py::test_check_of_no_file": TEXTS,
    "tests/process/test_checker.py::test_check_with_no_interpreter": TEXTS,
    "tests/process/test_checker.py::test_check_with_a_directory": PATHS,
    "tests/process/test_checker.py::test_wrappers_that": SHELL,
    "tests/process/test_scriptfile.py::test_a_fifo_is_not_read": FIFO,
    "tests/process/test_scriptfile.py::test_revision_of_a_script": GIT,
    "tests/process/test_script_bounds.py::test_messages_without_end": CHANNEL,
    "tests/process/test_script_api.py::test_nothing_raises": CHANNEL,
    "tests/process/test_script_api.py::test_percents": CHANNEL,
    "tests/process/test_script_api.py::test_what_is_no_percentage": CHANNEL,
    "tests/process/test_script_api.py::test_a_message_that_was_cut_short": CHANNEL,
    "tests/process/test_script_api.py::test_a_full_channel": CHANNEL,
    "tests/process/test_script_api.py::test_another_thread": CHANNEL,
    "tests/process/test_script_api.py::test_a_fast_loop": FORK,
    "tests/process/test_script_api.py::test_many_at_once": FORK,
    "tests/process/test_script_api.py::test_without_the_ioc": LINES,
    "tests/process/test_script_api.py::test_server_common_by_hand": LINES,
    "tests/process/test_logdir.py::test_files_and_directories_are_closed_to_others": MODES,
    "tests/process/test_logdir.py::test_what_is_no_file_is_refused": FIFO,
    "tests/process/test_logdir.py::test_files_of_others_are_left_alone": "a name with a newline",
    "tests/process/test_logdir.py::test_a_file_is_known_by_what_it_is": SHARED,
    "tests/process/test_logfile.py::test_the_file_is_known_before_the_first_line": PATHS,
    "tests/process/test_logfile.py::test_changes_are_told": "a rename replaces no file on Windows",
    "tests/process/test_logfile.py::test_no_descriptor_is_left": PROC,
    "tests/process/test_echo.py": "the test needs ptys and resource limits",
    "tests/process/test_logfile_troubles.py": "the test fills a file system of its own",
    "tests/process/test_faults.py::test_a_fault_of_ours": ENVIRONMENT,
    "tests/process/test_hold.py": HELD,
    "tests/process/test_genie.py": "tests of scripts with genie_python on Windows run across",
    "tests/process/test_guardian.py": NOT_THERE,
    "tests/process/test_leftovers.py": NOT_THERE,
    "tests/process/test_process.py": SIGNALS,  # test_everywhere.py is of both systems
    "tests/process/test_path_map.py": REFUSED,
    "tests/process/test_loops.py": NOT_THERE,
    "tests/process/test_hung_files.py": "the test's disk that hangs is one of Linux",
    "tests/process/test_announcer.py::test_a_notice": PATHS,
    "tests/process/test_deaths.py::test_many_deaths": SLOW,
    "tests/process/test_deaths.py::test_deaths_without_end": SLOW,
    "tests/process/test_deaths.py::test_what_is_no_death[a forked child]": FORK,
    "tests/process/test_onchange.py::test_a_good_text_is_run": SHARED,
    "tests/process/test_pv_api.py::test_nothing_raises": CHANNEL,
    "tests/process/test_pv_api.py::test_by_hand": LINES,
    "tests/process/test_stack_command.py::test_a_run_that_cannot_answer": SIGNALS,
    "tests/process/test_torture.py::test_as_by_hand[a_million_lines]": LINES,
    "tests/process/test_torture.py::test_as_by_hand[descriptors_that_children_get]": LINES,
    "tests/process/test_torture.py::test_as_by_hand[exception_in_a_spawned_child]": LINES,
    "tests/process/test_torture.py::test_as_by_hand[keyboard_interrupt]": (
        "EXITCODE of an interrupt is -2 on Windows too, by hand it is 0xC000013A"
    ),
    "tests/process/test_torture.py::test_as_by_hand[multiprocessing_spawn]": LINES,
    "tests/process/test_torture.py::test_as_by_hand_with_other": (
        "there is no other Python of Windows here"
    ),
    "tests/process/test_torture.py::test_names_of_scripts[spaces and": PATHS,
    "tests/process/test_torture.py::test_a_link_to_a_script": "Wine follows no link of Windows",
    "tests/process/test_torture.py::test_a_segfault": TEXTS,
    "tests/process/test_torture.py::test_what_is_inherently_different": SIGNALS,
}

PURE = "pure logic: neither host/ nor child/ has a part in it"
MEMORY = (
    "the test takes seconds, and gives its own clock and texts: nothing of the system has a part"
)
SOURCE = "the test reads the source, which is the same everywhere"
ANOTHER = "test_exits.py and test_everywhere.py show the same of chosen scripts, in a fifth of it"

SAME: Mapping[str, str] = {
    "tests/unit/test_alarmtree.py": PURE,
    "tests/unit/test_deploy_ibex.py": PURE,
    "tests/unit/test_epicsvars.py": PURE,
    "tests/unit/test_jsonlines.py": PURE,
    "tests/unit/test_lifecycle.py": PURE,
    "tests/unit/test_limits.py": PURE,
    "tests/unit/test_loglines.py": PURE,
    "tests/unit/test_macros.py": PURE,
    "tests/unit/test_messages.py": PURE,
    "tests/unit/test_putlines.py": PURE,
    "tests/unit/test_screen.py": PURE,
    "tests/unit/test_story.py": PURE,
    "tests/unit/test_child_json.py::test_what_is_written_reads_the_same": MEMORY,
    "tests/unit/test_child_outbox.py::test_a_long_array_is_sent_less_often": MEMORY,
    "tests/unit/test_script_pvs.py::TestInterleavings": MEMORY,
    "tests/unit/test_settling.py": MEMORY,
    "tests/unit/test_stacks_text.py": MEMORY,
    "tests/unit/test_descriptions.py": SOURCE,
    "tests/unit/test_generated.py": SOURCE,
    "tests/unit/test_prose.py": SOURCE,
    "tests/unit/test_house.py::test_a_library": SOURCE,
    "tests/unit/test_house.py::test_every_tenant": SOURCE,
    "tests/unit/test_house.py::test_no": SOURCE,
    "tests/unit/test_house.py::test_one_room": SOURCE,
    "tests/unit/test_house.py::test_processes": SOURCE,
    "tests/unit/test_house.py::test_pure": SOURCE,
    "tests/unit/test_house.py::test_tenants": SOURCE,
    "tests/unit/test_house.py::test_the_end": SOURCE,
    "tests/unit/test_house.py::test_the_script_side": SOURCE,
    "tests/unit/test_house.py::test_what_windows": SOURCE,
    "tests/process/test_torture.py::test_as_by_hand": ANOTHER,
}

WINE_CPU = "Wine tells of every process the processor time of the process that asks"

# The same of tests whose IOC is on Windows, with clients on Linux.
ACROSS: Mapping[str, str] = {
    "tests/ioc/test_ioc.py::test_usage_is_measured_while_watched": WINE_CPU,
    "tests/ioc/test_notify.py::test_sendmail": SHELL,
    "tests/ioc/test_notify.py::test_a_trial": SHELL,
}

STARTS = (
    "an IOC takes seconds to start under Wine, and another test that is run there shows the same"
)
REGISTRY = "the writer is Python, as on Linux; test_an_outage_holds_up_nobody is run with MariaDB"

SAME_ACROSS: Mapping[str, str] = {
    "tests/ioc/test_ioc.py::test_names_of_procserv_control": STARTS,
    "tests/ioc/test_ioc.py::test_registration_reaches_the_registry": STARTS,
    "tests/ioc/test_ioc.py::test_start_completes_when_running": STARTS,
    "tests/ioc/test_past.py": "30 starts of Wine's Python; test_history.py is of the file",
    "tests/registry/test_end_to_end.py::test_a_wrong_password": REGISTRY,
    "tests/registry/test_end_to_end.py::test_pvs_that": REGISTRY,
    "tests/registry/test_end_to_end.py::test_rows": REGISTRY,
    "tests/registry/test_end_to_end.py::test_two": REGISTRY,
    "tests/windows/across/test_across.py::test_a_put_with_callback_fails": STARTS,
    "tests/windows/across/test_share.py::test_all_of_it_on_a_share[command line]": STARTS,
    "tests/ioc/test_notify.py": (
        "test_announcer.py shows that commands run there; what they send is Python's, as on Linux"
    ),
}
