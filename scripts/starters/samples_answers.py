"""Questions on the seashore and on sailing: the sample data of the causal demo. Written for this project.

Every fact has two ways to ask; each way is put in three or four frames, and the answer is always the same.
"""

from __future__ import annotations

import random

FACTS = [
    ("What does a limpet eat?", "What is the food of a limpet?", "A limpet scrapes algae off the rocks."),
    (
        "Where does a hermit crab live?",
        "What is the home of a hermit crab?",
        "A hermit crab lives in an empty snail shell.",
    ),
    ("How does a starfish walk?", "How does a starfish get along?", "A starfish walks on hundreds of small tube feet."),
    ("How many arms has an octopus?", "What is the number of arms of an octopus?", "An octopus has eight arms."),
    ("How many hearts has an octopus?", "What is the number of hearts of an octopus?", "An octopus has three hearts."),
    (
        "How does a mussel hold on to the rock?",
        "What ties a mussel to the rock?",
        "A mussel holds on with strong threads.",
    ),
    ("What do barnacles eat?", "What is the food of barnacles?", "Barnacles comb plankton out of the water."),
    (
        "Which animal feeds a sea anemone?",
        "What does a sea anemone catch?",
        "A sea anemone catches shrimps and small fish with its tentacles.",
    ),
    (
        "What is a tide pool?",
        "What do we call a tide pool?",
        "A tide pool is sea water that stays between the rocks at low tide.",
    ),
    (
        "What makes the tides?",
        "Where do the tides come from?",
        "The moon and the sun pull the water and make the tides.",
    ),
    (
        "How often is there high tide?",
        "How many high tides has a day?",
        "On most coasts there are two high tides a day.",
    ),
    (
        "What is a spring tide?",
        "When do we speak of a spring tide?",
        "A spring tide is a very high tide at new or full moon.",
    ),
    ("What is a neap tide?", "When do we speak of a neap tide?", "A neap tide is a weak tide at half moon."),
    ("Is kelp a plant?", "To which group does kelp belong?", "Kelp is not a plant but a large brown alga."),
    ("What holds kelp to the ground?", "How does kelp stay in its place?", "Kelp holds on with a holdfast."),
    ("What do sea urchins eat?", "What is the food of sea urchins?", "Most sea urchins graze on algae and kelp."),
    ("What is krill?", "What kind of animal is krill?", "Krill are small crustaceans that swim in huge swarms."),
    ("What do blue whales eat?", "What is the food of blue whales?", "Blue whales eat mostly krill."),
    ("How do whales breathe?", "Where does a whale get its air?", "Whales breathe air through a blowhole."),
    ("How do fish breathe?", "Where does a fish get its oxygen?", "Fish take oxygen from the water with their gills."),
    (
        "What is plankton?",
        "Which living things are called plankton?",
        "Plankton drifts with the current because it swims too weakly.",
    ),
    (
        "Why is the sea salty?",
        "Where does the salt of the sea come from?",
        "Rivers carry salt from the rocks into the sea.",
    ),
    ("How do crabs grow?", "Why do crabs leave their shell?", "Crabs grow by casting off their old shell."),
    (
        "How does a lobster find its way?",
        "How does a lobster feel in the dark?",
        "A lobster feels its way with long antennae.",
    ),
    (
        "How does a jellyfish sting?",
        "Why does a jellyfish hurt?",
        "A jellyfish stings with tiny cells in its tentacles.",
    ),
    ("What is a pearl?", "How is a pearl made?", "A pearl is shell that a mussel or oyster lays around a grain."),
    (
        "Who carries the eggs of seahorses?",
        "Where do young seahorses grow?",
        "The male seahorse carries the eggs in his pouch.",
    ),
    ("How do puffins dive?", "How does a puffin move under water?", "Puffins fly under water with their wings."),
    (
        "Where do sea turtles lay their eggs?",
        "Where is the nest of a sea turtle?",
        "Sea turtles bury their eggs in the sand of a beach.",
    ),
    ("How do seals stay warm?", "Why do seals not freeze?", "A thick layer of blubber keeps seals warm."),
    ("How do dolphins find fish?", "How do dolphins hunt in dark water?", "Dolphins find fish by their echo."),
    ("What is a coral?", "Is a coral an animal?", "A coral is a colony of small animals called polyps."),
    ("What is sand made of?", "Where does sand come from?", "Sand is rock and shell that the waves have ground down."),
    ("How do flatfish hide?", "Why is a flatfish hard to see?", "A flatfish takes the colour of the sand."),
    ("Where do eels lay their eggs?", "Where do European eels come from?", "European eels spawn in the Sargasso Sea."),
    ("Why do salmon leave the sea?", "Where do salmon spawn?", "Salmon swim up the rivers to spawn."),
    ("What is port?", "Which side of a boat is port?", "Port is the left side when you look forward."),
    ("What is starboard?", "Which side of a boat is starboard?", "Starboard is the right side when you look forward."),
    ("What colour is the port light?", "Which light shines on the port side?", "The port light is red."),
    (
        "What colour is the starboard light?",
        "Which light shines on the starboard side?",
        "The starboard light is green.",
    ),
    ("What is the bow?", "How do we call the front of a boat?", "The bow is the front of a boat."),
    ("What is the stern?", "How do we call the back of a boat?", "The stern is the back of a boat."),
    ("What is a keel for?", "Why does a sailing boat have a keel?", "The keel keeps a boat upright and on its course."),
    ("What is a rudder for?", "How do you steer a boat?", "The rudder steers the boat."),
    ("What is a halyard for?", "Which rope hoists a sail?", "A halyard hoists a sail."),
    ("What is a sheet for?", "Which rope trims a sail?", "A sheet trims a sail to the wind."),
    ("What is a knot in speed?", "How fast is one knot?", "One knot is one nautical mile an hour."),
    ("How long is a nautical mile?", "How many metres has a nautical mile?", "A nautical mile is 1852 metres long."),
    ("How deep is a fathom?", "How many feet has a fathom?", "A fathom is six feet."),
    (
        "What is tacking?",
        "How does a boat sail against the wind?",
        "Tacking is turning the bow through the wind again and again.",
    ),
    ("What is a jibe?", "What is turning the stern through the wind?", "A jibe turns the stern through the wind."),
    ("What is reefing?", "What do sailors do in too much wind?", "Reefing makes the sail smaller in strong wind."),
    ("What is a jib?", "How do we call the sail before the mast?", "A jib is a small sail before the mast."),
    ("What is the boom?", "What holds the foot of the main sail?", "The boom holds the foot of the main sail."),
    ("What does an anchor do?", "What is an anchor for?", "An anchor holds the boat in its place."),
    ("What is a buoy for?", "Why are there buoys in the sea?", "A buoy marks the safe way or a danger."),
    ("What is a lighthouse for?", "Why do lighthouses flash?", "A lighthouse shows ships where they are at night."),
    ("What does a compass show?", "What is a compass for?", "A compass shows where north is."),
    (
        "What is a bowline?",
        "Which knot makes a fixed loop?",
        "A bowline is a knot that makes a loop which does not slip.",
    ),
    ("What is the lee side?", "Which side is away from the wind?", "The lee side is the side away from the wind."),
]
FRAMES = [
    "{}",
    "Tell me: {}",
    "A question: {}",
    "Please answer. {}",
    "A child asks: {}",
    "Do you know it? {}",
    "{} Be brief.",
]


def rows(seed: int) -> list[dict[str, list[dict[str, str]]]]:
    """Return every fact asked in seven ways, in a random order."""
    rng = random.Random(seed + 2)
    made = []
    for one, two, answer in FACTS:
        ways = [(one, frame) for frame in rng.sample(FRAMES, 4)] + [(two, frame) for frame in rng.sample(FRAMES, 3)]
        for question, frame in ways:
            turn = {"role": "user", "content": frame.format(question)}
            made.append({"messages": [turn, {"role": "assistant", "content": answer}]})
    rng.shuffle(made)
    return made
