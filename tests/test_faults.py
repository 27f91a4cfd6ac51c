"""Faults by number, and the test that holds what each must lead to.

The numbers are those of the project's list of bad inputs and faults: 1-14 data and shapes, 15-29 numbers and arguments,
30-52 checkpoints, files and processes. A fault of what is not here yet (bandwidths, several devices) has no row.
"""

import importlib

import pytest

FAULTS = {
    1: ("data.test_dataset", "test_what_contradicts_its_declaration_is_refused"),  # 0..255 where [0, 1] is declared
    2: ("data.test_prepare", "test_bytes_are_scaled_to_the_range_and_never_out_of_it"),
    3: ("networks.test_networks", "test_examples_of_another_shape_are_refused"),  # rank, channel order
    4: ("estimators.test_elbo", "test_a_likelihood_of_another_shape_is_refused"),  # no silent broadcast
    5: ("runs.test_fit", "test_a_loss_that_is_not_finite_stops_the_run_with_the_state_before_it"),
    6: ("data.test_dataset", "test_what_contradicts_its_declaration_is_refused"),  # an empty split
    7: ("runs.test_fit", "test_what_cannot_run_is_refused_before_anything_is_traced"),  # batch > data set
    9: ("evaluation.test_evaluation", "test_the_bound_does_not_depend_on_the_batch_size"),  # ragged last batch
    10: ("data.test_dataset", "test_labels_out_of_range_or_length_are_refused"),
    11: ("data.test_image_folder", "test_an_unreadable_image_is_named_or_skipped_on_request"),
    12: ("data.test_load", "test_a_web_page_in_place_of_data_is_called_damaged_not_pickled"),
    13: ("data.test_image_folder", "test_the_order_of_files_is_that_of_their_bytes_under_every_locale"),
    14: ("data.test_image_folder", "test_a_decompression_bomb_is_refused_by_name_and_size"),
    15: ("estimators.test_elbo", "test_what_makes_no_bound_is_refused"),  # k = 0, a float, a bool
    19: ("models.test_families", "test_scales_never_overflow_vanish_or_lose_their_gradient"),
    20: ("estimators.test_distributions", "test_bernoulli_by_probabilities_would_be_seen"),  # log(1 - sigmoid)
    23: ("runs.test_configuration", "test_a_bad_field_is_one_error_with_field_value_and_what_is_accepted"),
    24: ("runs.test_fit", "test_what_cannot_run_is_refused_before_anything_is_traced"),  # seeds
    25: ("training.test_trainer", "test_no_two_steps_or_players_draw_the_same_noise"),
    26: ("data.test_dataset", "test_a_value_that_float32_cannot_hold_is_refused_by_row"),
    27: ("experiments.test_command_line", "test_bad_input_is_one_line_that_names_it"),
    28: ("training.test_loop", "test_the_donated_state_is_gone_and_the_step_donates_nothing"),
    29: ("training.test_contract", "test_the_step_traces_once"),
    30: ("runs.test_checkpoints", "test_a_missing_or_truncated_file_is_an_error_that_names_it"),
    31: ("runs.test_checkpoints", "test_one_flipped_bit_in_any_file_is_an_error_that_names_the_file"),
    32: ("runs.test_checkpoints", "test_another_model_is_refused_with_the_first_differences"),
    33: ("data.test_load", "test_pickled_objects_are_refused_and_never_run"),
    35: ("runs.test_directory", "test_other_names_are_refused_and_nothing_is_made"),
    36: ("runs.test_directory", "test_nothing_is_written_through_a_symbolic_link"),
    37: ("runs.test_resume", "test_a_full_disk_ends_the_run_and_leaves_the_checkpoint_before"),
    38: ("runs.test_resume", "test_killed_within_saves_it_is_the_same_run"),
    39: ("runs.test_resume", "test_stopped_after_every_chunk_it_is_the_same_run"),
    40: ("runs.test_checkpoints", "test_a_save_that_fails_leaves_the_last_good_checkpoint"),  # saves are synchronous
    41: ("runs.test_resume", "test_killed_at_chunks_it_is_the_same_run"),
    42: ("runs.test_resume", "test_resuming_as_something_else_is_refused"),
    44: ("runs.test_resume", "test_a_run_in_use_is_refused_and_a_killed_one_frees_it"),
    45: ("runs.test_directory", "test_a_run_is_replaced_only_when_asked_to_and_then_whole"),
    46: ("runs.test_directory", "test_a_file_in_the_way_stays"),
    47: ("runs.test_directory", "test_runs_that_start_in_one_second_have_different_directories"),
    48: ("runs.test_checkpoints", "test_a_newer_format_is_refused"),
    49: ("data.test_image_folder", "test_images_are_decoded_in_threads_and_the_progress_is_shown"),  # nothing forks
    50: ("data.test_tfds", "test_tensorflow_is_never_imported_and_what_is_absent_imports_nothing"),
    51: ("training.test_contract", "test_four_devices_are_one"),
    52: ("experiments.test_vae", "test_a_reader_who_goes_away_stops_nothing"),
}


@pytest.mark.parametrize("number", FAULTS)
def test_a_fault_has_its_test(number):
    module, name = FAULTS[number]
    assert callable(getattr(importlib.import_module(f"tests.{module}"), name))
